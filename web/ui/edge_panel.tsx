// edge_panel.tsx - everything known about one edge.
import type { GraphEdge, Latency } from "./api.ts";
import { Facts } from "./facts.tsx";
import * as format from "./format.ts";
import { History } from "./history.tsx";
import { type Line, tlsWords } from "./mesh.ts";
import type { WindowName } from "./url.ts";

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

export function EdgePanel({ line, window }: { line: Line; window: WindowName }) {
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
