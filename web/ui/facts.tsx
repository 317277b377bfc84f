// facts.tsx - a list of names and values, as the panels have many.
import type { ComponentChildren } from "preact";

/** Rows without a value are left out. Counts give the name the room, other facts the value. */
export function Facts({
    rows,
    isCount,
}: {
    rows: [string, ComponentChildren][];
    isCount?: boolean;
}) {
    return (
        <dl class={isCount ? "counts" : ""}>
            {rows
                .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
                .map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
        </dl>
    );
}
