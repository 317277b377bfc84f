// cells.tsx - what the tables of traces and requests show alike.
import * as format from "../format.ts";

export function DurationBar({
    ms,
    mostMs,
    isError,
}: {
    ms: number;
    mostMs: number;
    isError: boolean;
}) {
    return (
        <span class={isError ? "share failing" : "share"}>
            <i
                style={{
                    width: `calc((100% - 70px) * ${Math.min(1, ms / Math.max(mostMs, 1e-6))})`,
                }}
            />
            <span>{format.latency(ms)}</span>
        </span>
    );
}

export function Time({ at }: { at: string }) {
    return (
        <time dateTime={at} title={at}>
            {format.time(at)}
        </time>
    );
}
