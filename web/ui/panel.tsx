// panel.tsx - everything known about the selected edge or service, beside the map.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { GraphEdge, Latency } from "./api.ts";
import * as format from "./format.ts";
import { History } from "./history.tsx";
import {
    type Card,
    fullName,
    type Line,
    lineSentence,
    type Mesh,
    shortName,
    tlsWords,
} from "./mesh.ts";
import { HealthRing } from "./map/card.tsx";
import type { Selection, WindowName } from "./url.ts";

/** Envoy's response flags that people meet, in words. */
const FLAGS: Record<string, string> = {
    UF: "connection to the destination failed",
    UH: "no healthy instance of the destination",
    UO: "too many requests waiting at the destination",
    UC: "destination closed the connection",
    UT: "destination did not answer in time",
    URX: "gave up after all retries",
    NR: "no route matched",
    NC: "destination unknown to the proxy",
    DC: "caller went away",
    LR: "connection reset on this side",
    RL: "rate limited",
    UAEX: "denied by an authorization policy",
    DPE: "caller broke the protocol",
    UPE: "destination broke the protocol",
    SI: "stream was idle too long",
    DT: "request took longer than allowed",
};

function Facts({ rows, isCount }: { rows: [string, ComponentChildren][]; isCount?: boolean }) {
    return (
        <dl class={isCount ? "counts" : ""}>
            {rows
                .filter(([, value]) => value !== null && value !== undefined && value !== "")
                .map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
        </dl>
    );
}

function Counts({
    title,
    of,
    words,
}: {
    title: string;
    of: Record<string, number>;
    words?: typeof FLAGS;
}) {
    const seen = Object.entries(of).filter(([, count]) => count > 0);
    if (seen.length === 0) return null;
    return (
        <section>
            <h3>{title}</h3>
            <Facts
                isCount
                rows={seen.map(([name, count]) => [
                    words?.[name]
                        ? `${name}, ${words[name]}`
                        : name === "none"
                          ? "no response"
                          : name,
                    format.count(count),
                ])}
            />
        </section>
    );
}

function Percentiles({ title, of }: { title: string; of: Latency }) {
    const most = Math.max(of.p99Ms, 1e-9);
    const bars: [string, number][] = [
        ["p50", of.p50Ms],
        ["p95", of.p95Ms],
        ["p99", of.p99Ms],
        ["mean", of.meanMs],
    ];
    return (
        <section>
            <h3>{title}</h3>
            <dl class="bars">
                {bars.map(([name, ms]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>
                            <i style={{ width: `${Math.min(100, (ms / most) * 100)}%` }} />
                            <span>{format.latency(ms)}</span>
                        </dd>
                    </div>
                ))}
            </dl>
        </section>
    );
}

function Tls({ edge }: { edge: GraphEdge }) {
    const { tls } = edge;
    const expiry = tls.certificateExpiry;
    const count = (n: number) => (tls.state === "mixed" && n > 0 ? format.count(n) : null);
    const principal = (text: string) => (text === "unknown" ? null : <code>{text}</code>);
    return (
        <section>
            <h3>Encryption</h3>
            <p class={`tls is-${tls.state}`}>{tlsWords(edge)}</p>
            <Facts
                rows={[
                    ["mutual TLS", count(tls.mutual)],
                    ["one-way TLS", count(tls.tls)],
                    ["plaintext", count(tls.plaintext)],
                    ["not known", count(tls.unknown)],
                    ["version", tls.version],
                    ["cipher", tls.cipher],
                    ["caller is", principal(edge.source.principal)],
                    ["callee is", principal(edge.destination.principal)],
                    [
                        "certificate ends",
                        expiry && (
                            <time dateTime={expiry} title={expiry}>
                                {format.when(Date.parse(expiry), Date.now())}
                            </time>
                        ),
                    ],
                ]}
            />
        </section>
    );
}

function TraceLinks({ edge }: { edge: GraphEdge }) {
    const link = (id: string | null, text: string) =>
        id && (
            <a class="trace" href={`/api/v1/traces/${encodeURIComponent(id)}`}>
                {text}
            </a>
        );
    if (!edge.exemplarTraceId && !edge.errorTraceId) return null;
    return (
        <p class="links">
            {link(edge.errorTraceId, "A request that failed")}
            {link(edge.exemplarTraceId, "The latest request")}
        </p>
    );
}

function EdgePanel({ line, window }: { line: Line; window: WindowName }) {
    const { edge } = line;
    const now = Date.now();
    return (
        <>
            <p class="numbers">
                <span>
                    <b>{format.rate(edge.rate)}</b> rate
                </span>
                <span class={edge.health}>
                    <b>{format.percent(edge.errorRate)}</b> errors
                </span>
                <span>
                    <b>{format.latency(edge.latency.p95Ms)}</b> p95
                </span>
            </p>
            <TraceLinks edge={edge} />
            <History edge={edge} window={window} />
            <Percentiles title="Latency seen by the caller" of={edge.latency} />
            {edge.serverLatency && (
                <Percentiles title="Latency inside the callee" of={edge.serverLatency} />
            )}
            <Tls edge={edge} />
            <Counts title="Response codes" of={edge.codes} />
            <Counts title="gRPC status" of={edge.grpcCodes} />
            <Counts title="Response flags" of={edge.flags} words={FLAGS} />
            <section>
                <h3>Traffic</h3>
                <Facts
                    rows={[
                        ["requests", format.count(edge.requests)],
                        ["errors", format.count(edge.errors)],
                        ["sent to the callee", format.bytes(edge.bytesReceived)],
                        ["sent back", format.bytes(edge.bytesSent)],
                        ["protocol", edge.protocol],
                        ["asked for as", edge.destinationService],
                        ["seen by", edge.evidence],
                        ["first seen", format.when(Date.parse(edge.firstSeen), now)],
                        ["last seen", format.when(Date.parse(edge.lastSeen), now)],
                    ]}
                />
            </section>
        </>
    );
}

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
                            <span>{format.percent(line.edge.errorRate)}</span>
                            <span>{format.latency(line.edge.latency.p95Ms)}</span>
                        </button>
                    </li>
                ))}
            </ul>
        </section>
    );
}

type PickEdge = (id: string) => void;

function CardPanel({ card, mesh, onPick }: { card: Card; mesh: Mesh; onPick: PickEdge }) {
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
                                        {format.percent(row.node.inErrorRate)}
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

interface Props {
    mesh: Mesh;
    selection: NonNullable<Selection>;
    window: WindowName;
    hasFocus: boolean; // opened by key: take the focus
    onPick: (selection: Selection) => void;
    onClose: () => void;
}

export function Panel(props: Props) {
    const { mesh, selection } = props;
    const heading = useRef<HTMLHeadingElement>(null);
    useEffect(() => {
        if (props.hasFocus) heading.current?.focus();
    }, [selection.id, props.hasFocus]);
    const card = selection.kind === "node" ? mesh.cards.get(selection.id) : undefined;
    const line =
        selection.kind === "edge" ? mesh.lines.find((l) => l.edge.id === selection.id) : undefined;
    return (
        <aside class="panel" aria-label="Details">
            <header>
                <h2 ref={heading} tabIndex={-1}>
                    {card && (
                        <>
                            <HealthRing card={card} /> {card.name}
                        </>
                    )}
                    {line && (
                        <>
                            {line.fromRow >= 0
                                ? fullName(line.edge.source)
                                : shortName(line.edge.source)}
                            <span aria-label="to"> → </span>
                            {line.toRow >= 0
                                ? fullName(line.edge.destination)
                                : shortName(line.edge.destination)}
                        </>
                    )}
                    {!card && !line && "No traffic"}
                </h2>
                <button
                    type="button"
                    class="close"
                    aria-label="Close details"
                    onClick={props.onClose}
                >
                    ×
                </button>
            </header>
            {card && (
                <CardPanel
                    card={card}
                    mesh={mesh}
                    onPick={(id) => props.onPick({ kind: "edge", id })}
                />
            )}
            {line && <EdgePanel line={line} window={props.window} />}
            {!card && !line && (
                <p>
                    What was selected had no traffic in this window. Choose a longer one, or close
                    this.
                </p>
            )}
        </aside>
    );
}
