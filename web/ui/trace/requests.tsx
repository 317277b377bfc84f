// requests.tsx - requests of one edge of the map to look at: failed ones, and some from every part of
// its latencies.
import { useEffect, useState } from "preact/hooks";
import * as format from "../format.ts";
import { fullName } from "../mesh.ts";
import { DurationBar, Time } from "./cells.tsx";
import { type Call, type Exemplars, getExemplars } from "./data.ts";

const RANGES: Record<string, string> = {
    "p0-p50": "The faster half",
    "p50-p95": "Slower than half",
    "p95-p99": "The slowest 5 %",
    "p99-p100": "The slowest 1 %",
};

function outcome(call: Call): string {
    const grpc = call.grpcStatus === null ? "" : `gRPC ${call.grpcStatus}`;
    return [grpc || call.code || "no response", call.flags].filter(Boolean).join(" ");
}

function CallRow({ call, mostMs }: { call: Call; mostMs: number }) {
    const what = call.method || call.path ? `${call.method} ${call.path}` : call.protocol;
    return (
        <tr class={call.error ? "failing" : ""} data-trace={call.traceId}>
            <td>
                <Time at={call.start} />
            </td>
            <td class="root">
                {call.traceId ? <a href={`/trace/${call.traceId}`}>{what}</a> : what}
            </td>
            <td class="errors">{outcome(call)}</td>
            <td class="bar-cell">
                <DurationBar ms={call.durationMs} mostMs={mostMs} isError={call.error} />
            </td>
        </tr>
    );
}

function Group(props: { title: string; requests: number; calls: Call[]; mostMs: number }) {
    const { title, requests, calls, mostMs } = props;
    if (calls.length === 0) return null;
    return (
        <tbody>
            <tr class="group">
                <th scope="rowgroup" colSpan={4}>
                    {title}{" "}
                    <span class="muted">
                        {calls.length} of {format.count(requests)}
                    </span>
                </th>
            </tr>
            {calls.map((call, i) => (
                <CallRow key={i} call={call} mostMs={mostMs} />
            ))}
        </tbody>
    );
}

export function EdgeRequests({ edge, window }: { edge: string; window: string }) {
    const [found, setFound] = useState<Exemplars | null>(null);
    const [why, setWhy] = useState("");
    useEffect(() => {
        getExemplars(edge, window).then(setFound, (error: Error) => setWhy(error.message));
    }, [edge, window]);
    if (why)
        return (
            <div class="state" role="alert">
                <h2>No requests of this edge</h2>
                <p>{why}</p>
                <p>
                    <a href="/">The map</a>
                </p>
            </div>
        );
    if (!found)
        return (
            <p class="state" role="status">
                Reading requests
            </p>
        );
    const groups = [
        { title: "Failed", requests: found.failed.requests, calls: found.failed.exemplars },
        ...[...found.ranges].reverse().map((range) => ({
            title: RANGES[range.range] ?? range.range,
            requests: range.requests,
            calls: range.exemplars,
        })),
    ];
    const calls = groups.flatMap((group) => group.calls);
    const mostMs = Math.max(...calls.map((call) => call.durationMs), 0);
    return (
        <>
            <h2>
                {fullName(found.edge.source)} → {fullName(found.edge.destination)}
                <span class="muted">
                    {" "}
                    {found.edge.protocol}, the last {window}
                </span>{" "}
                <a href={`/?t=${window}&sel=edge:${edge}`}>on the map</a>
            </h2>
            <table>
                <caption class="unseen">Requests picked by chance from every part</caption>
                {groups.map((group) => (
                    <Group key={group.title} {...group} mostMs={mostMs} />
                ))}
            </table>
            {calls.length === 0 && <p class="nothing">None of its requests is kept any more.</p>}
            {!found.complete && (
                <p class="more">
                    Picked from the newest {format.count(found.lookedAt)} records of the window.
                </p>
            )}
        </>
    );
}
