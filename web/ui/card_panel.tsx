// card_panel.tsx - everything known about one service: versions, callers, callees, identity.
import { Facts } from "./facts.tsx";
import * as format from "./format.ts";
import { type Card, fullName, type Line, lineSentence, type Mesh, shortName } from "./mesh.ts";

function LineList(props: {
    title: string;
    lines: Line[];
    show: (l: Line) => string;
    onPick: PickEdge;
}) {
    if (props.lines.length === 0) return null;
    return (
        <section>
            <h3>{props.title}</h3>
            <ul class="lines">
                {props.lines.map((line) => (
                    <li key={line.edge.id}>
                        <button
                            type="button"
                            class={line.edge.health}
                            aria-label={lineSentence(line)}
                            onClick={() => props.onPick(line.edge.id)}
                        >
                            <span>{props.show(line)}</span>
                            <span>{format.rate(line.edge.rate)}</span>
                            <span>{format.percent(line.edge.failureRate)}</span>
                            <span>{format.latency(line.edge.latency.p95Ms)}</span>
                        </button>
                    </li>
                ))}
            </ul>
        </section>
    );
}

type PickEdge = (id: string) => void;

export function CardPanel({ card, mesh, onPick }: { card: Card; mesh: Mesh; onPick: PickEdge }) {
    const into = mesh.into.get(card.id) ?? [];
    const out = mesh.out.get(card.id) ?? [];
    const principals = new Set(card.rows.map((row) => row.node.principal));
    principals.delete("unknown");
    return (
        <>
            <p class="numbers">
                <span>
                    <b>{format.rate(card.inRate)}</b> in
                </span>
                <span>
                    <b>{format.rate(card.outRate)}</b> out
                </span>
                <span class={card.health}>
                    <b>{format.percent(card.errorShare)}</b> errors
                </span>
            </p>
            {card.rows.length > 1 && (
                <section>
                    <h3>Versions</h3>
                    <table class="versions">
                        <tbody>
                            {card.rows.map((row, i) => (
                                <tr key={row.node.id}>
                                    <th scope="row">
                                        <i class={`swatch v${i % 5}`} /> {row.label}
                                    </th>
                                    <td>{format.percent(row.share)}</td>
                                    <td>{format.rate(row.node.inRate)}</td>
                                    <td class={row.node.health}>
                                        {format.percent(row.node.inFailureRate)}
                                    </td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </section>
            )}
            <LineList
                title="Called by"
                lines={into}
                onPick={onPick}
                show={(l) => nameFor(l, card, "into")}
            />
            <LineList
                title="Calls"
                lines={out}
                onPick={onPick}
                show={(l) => nameFor(l, card, "out")}
            />
            <section>
                <h3>Identity</h3>
                <Facts
                    rows={[
                        ["namespace", card.namespace],
                        ["cluster", card.rows[0]!.node.cluster],
                        ["workloads", card.rows.map((row) => row.node.workload).join(", ")],
                        [
                            "certificate",
                            principals.size > 0 ? <code>{[...principals].join(" ")}</code> : null,
                        ],
                    ]}
                />
            </section>
        </>
    );
}

/** The other end; on a card of several versions with the own one before it. */
function nameFor(line: Line, card: Card, way: "into" | "out"): string {
    const [own, other] =
        way === "into"
            ? [line.edge.destination, line.edge.source]
            : [line.edge.source, line.edge.destination];
    const hasRow = (way === "into" ? line.fromRow : line.toRow) >= 0;
    const name = hasRow ? fullName(other) : shortName(other);
    return card.rows.length > 1 ? `${own.version} ${way === "into" ? "by" : "to"} ${name}` : name;
}
