// edge_panel.tsx - everything known about one edge.
import type { GraphEdge, Latency, Moment } from "./api.ts";
import { Facts } from "./facts.tsx";
import * as format from "./format.ts";
import { History } from "./history.tsx";
import { failureWords, type Line, tlsWords } from "./mesh.ts";
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

/** How a TLS state is known, surest first. */
const CONFIDENCE = {
    handshake: "from the handshake itself",
    reported: "as the proxy reported it",
    forwarded: "from a header a proxy handed on",
    inferred: "inferred from a name",
};

/** Who told of the requests, in words. */
const REPORTERS: Record<string, string> = {
    source: "the caller's proxy",
    destination: "the callee's proxy",
    pair: "both applications' spans",
    span: "one span alone",
};

function seenBy(edge: GraphEdge): string {
    const counts = Object.entries(edge.evidenceCounts);
    const words = (name: string) => REPORTERS[name] ?? name;
    if (counts.length <= 1) return words(edge.evidence);
    return counts.map(([name, count]) => `${words(name)} ${format.count(count)}`).join(", ");
}

function At({ moment }: { moment: Moment }) {
    const words = (
        <time dateTime={moment.time} title={moment.time}>
            {format.when(Date.parse(moment.time), Date.now())}
        </time>
    );
    if (!moment.traceId) return words;
    return <a href={`/trace/${moment.traceId}`}>{words}</a>;
}

/** What the caller waited longer than the callee took, and whether their clocks can be compared. */
function Network({ edge }: { edge: GraphEdge }) {
    const { networkLatency: network, clock } = edge;
    const offset = clock && format.latency(Math.abs(clock.offsetMs));
    const clocks = {
        agrees: null,
        skewed: `${offset} ${clock && clock.offsetMs > 0 ? "ahead" : "behind"}`,
        varies: "no one offset fits",
    };
    if (!network && !clock) return null;
    return (
        <section>
            <h3>Between the two</h3>
            <Facts
                rows={[
                    ["network, mean", network && format.latency(Math.max(0, network.meanMs))],
                    ["network, p50", network && format.latency(Math.max(0, network.p50Ms))],
                    ["callee's clock", clock && clocks[clock.verdict]],
                ]}
            />
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
                    ["known", tls.confidence && CONFIDENCE[tls.confidence]],
                    ["first plaintext", tls.firstPlaintext && <At moment={tls.firstPlaintext} />],
                    ["last plaintext", tls.lastPlaintext && <At moment={tls.lastPlaintext} />],
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

function TraceLinks({ edge, window }: { edge: GraphEdge; window: WindowName }) {
    const link = (id: string | null, text: string) =>
        id && (
            <a class="trace" href={`/trace/${id}`}>
                {text}
            </a>
        );
    if (!edge.exemplarTraceId && !edge.errorTraceId) return null;
    return (
        <p class="links">
            {link(edge.errorTraceId, "A request that failed")}
            {link(edge.exemplarTraceId, "The latest request")}
            <a href={`/traces?edge=${edge.id}&window=${window}`}>Traces</a>
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
                    <b>{format.percent(edge.failureRate)}</b> errors
                </span>
                <span>
                    <b>{format.latency(edge.latency.p95Ms)}</b> p95
                </span>
            </p>
            <TraceLinks edge={edge} window={window} />
            <History edge={edge} window={window} />
            <Percentiles title="Latency seen by the caller" of={edge.latency} />
            {edge.serverLatency && (
                <Percentiles title="Latency inside the callee" of={edge.serverLatency} />
            )}
            <Network edge={edge} />
            <Tls edge={edge} />
            <Counts title="Response codes" of={edge.codes} />
            <Counts title="gRPC status" of={edge.grpcCodes} />
            <Counts title="Response flags" of={edge.flags} words={FLAGS} />
            <section>
                <h3>Traffic</h3>
                <Facts
                    rows={[
                        ["requests", format.count(edge.requests)],
                        [
                            "arrived there",
                            edge.received !== null &&
                                edge.received > edge.requests &&
                                format.count(edge.received),
                        ],
                        ["sent again", edge.resends > 0 && format.count(edge.resends)],
                        ["errors", failureWords(edge)],
                        ["sent to the callee", format.bytes(edge.bytesReceived)],
                        ["sent back", format.bytes(edge.bytesSent)],
                        ["told of while open", edge.openReports > 0 && format.count(edge.openReports)],
                        ["protocol", edge.protocol],
                        ["asked for as", edge.destinationService],
                        ["seen by", seenBy(edge)],
                        ["first seen", format.when(Date.parse(edge.firstSeen), now)],
                        ["last seen", format.when(Date.parse(edge.lastSeen), now)],
                    ]}
                />
            </section>
        </>
    );
}
