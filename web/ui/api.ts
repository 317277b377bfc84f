// api.ts - the collector's JSON as types, and the live stream.
//
// The shapes are those of docs/api.md. The stream is the browser's EventSource, but we close and
// reopen it ourselves: it gives up for good on any HTTP error, and it would keep a tab nobody looks
// at busy. After each failure one plain GET is tried, so that a proxy that breaks streams still
// leaves a page with numbers on it.

export type Health = "healthy" | "degraded" | "failing" | "idle";
export type TlsState = "mutual" | "tls" | "plaintext" | "mixed" | "unknown";

export interface Identity {
    id: string;
    cluster: string;
    namespace: string;
    workload: string;
    service: string;
    version: string;
    principal: string;
}

export interface GraphNode extends Identity {
    type:
        "workload" | "service" | "app" | "namespace" | "virtual" | "external" | "unknown" | "other";
    inRequests: number;
    inRate: number;
    inErrors: number;
    inErrorRate: number;
    inFailures: number;
    inFailureRate: number;
    outRequests: number;
    outRate: number;
    outErrors: number;
    outErrorRate: number;
    outFailures: number;
    outFailureRate: number;
    health: Health;
}

export interface Latency {
    p50Ms: number;
    p95Ms: number;
    p99Ms: number;
    meanMs: number;
}

export interface Moment {
    time: string;
    traceId: string | null;
}

export interface GraphEdge {
    id: string;
    source: Identity;
    destination: Identity;
    destinationService: string;
    protocol: string;
    requests: number;
    rate: number;
    errors: number;
    errorRate: number; // a share, 0 to 1
    failures: number; // errors and HTTP 4xx: what health counts
    failureRate: number;
    codes: Record<string, number>;
    grpcCodes: Record<string, number>;
    flags: Record<string, number>;
    latency: Latency;
    serverLatency: Latency | null;
    networkLatency: { meanMs: number; p50Ms: number } | null;
    clock: { verdict: "agrees" | "skewed" | "varies"; offsetMs: number } | null;
    tls: {
        state: TlsState;
        mutual: number;
        tls: number;
        plaintext: number;
        unknown: number;
        version: string | null;
        cipher: string | null;
        certificateExpiry: string | null;
        confidence: "handshake" | "reported" | "forwarded" | "inferred" | null;
        firstPlaintext: Moment | null;
        lastPlaintext: Moment | null;
    };
    bytesReceived: number;
    bytesSent: number;
    openReports: number;
    received: number | null;
    resends: number;
    evidence: string;
    evidenceCounts: Record<string, number>;
    firstSeen: string;
    lastSeen: string;
    exemplarTraceId: string | null;
    errorTraceId: string | null;
    health: Health;
}

export interface Graph {
    from: string;
    to: string;
    seconds: number;
    nodes: GraphNode[];
    edges: GraphEdge[];
}

export interface HistoryPoint {
    time: string;
    requests: number;
    rate: number;
    failureRate: number;
    p95Ms: number;
    evidence: string | null;
}

interface LiveEvent extends Graph {
    full: boolean;
    removedNodes?: string[];
    removedEdges?: string[];
}

/** An answer that is none: its status, and why in words. */
export class Refused extends Error {
    constructor(
        readonly status: number,
        why: string,
    ) {
        super(why);
    }
}

export async function getJson<T>(path: string): Promise<T> {
    const answer = await fetch(path, { headers: { accept: "application/json" } });
    if (!answer.ok) {
        const body = (await answer.json().catch(() => null)) as { error?: { message?: string } };
        const why = body?.error?.message ?? `the collector answered ${answer.status}`;
        throw new Refused(answer.status, why);
    }
    return (await answer.json()) as T;
}

/** What of the mesh is looked at. */
export interface Wish {
    window: string;
    hide: string; // an expression; empty: nothing
}

function queryOf(wish: Wish): string {
    const params = new URLSearchParams({ window: wish.window });
    if (wish.hide) params.set("hide", wish.hide);
    return params.toString();
}

export function getGraph(wish: Wish): Promise<Graph> {
    return getJson<Graph>(`/api/v1/graph?${queryOf(wish)}`);
}

/** What is wrong with the expression; empty when nothing is, or nobody answers. */
export async function problemOf(hide: string): Promise<string> {
    const path = `/api/v1/graph?limit=1&${queryOf({ window: "10s", hide })}`;
    const answer = await fetch(path).catch(() => null);
    if (answer?.status !== 400) return "";
    const body = (await answer.json().catch(() => null)) as { error?: { message?: string } } | null;
    return body?.error?.message ?? "the collector does not understand it";
}

export function getHistory(edgeId: string, window: string): Promise<{ points: HistoryPoint[] }> {
    const query = `window=${encodeURIComponent(window)}`;
    return getJson(`/api/v1/edges/${encodeURIComponent(edgeId)}/history?${query}`);
}

function replaceById<T extends { id: string }>(old: T[], changed: T[], removed: string[]): T[] {
    const gone = new Set(removed);
    const byId = new Map(changed.map((item) => [item.id, item]));
    const kept = old.filter((item) => !gone.has(item.id)).map((item) => byId.get(item.id) ?? item);
    const known = new Set(old.map((item) => item.id));
    return [...kept, ...changed.filter((item) => !known.has(item.id))];
}

/** The graph after an event; a part that is not full needs a graph to be a part of. */
export function applyEvent(graph: Graph | null, event: LiveEvent): Graph | null {
    if (event.full) return event;
    if (!graph) return null;
    // Rates fall while an edge is idle, and idle edges are not sent again: see docs/api.md.
    const edges = replaceById(graph.edges, event.edges, event.removedEdges ?? []).map((edge) => ({
        ...edge,
        rate: event.seconds > 0 ? edge.requests / event.seconds : edge.rate,
    }));
    const nodes = replaceById(graph.nodes, event.nodes, event.removedNodes ?? []).map((node) => ({
        ...node,
        inRate: event.seconds > 0 ? node.inRequests / event.seconds : node.inRate,
        outRate: event.seconds > 0 ? node.outRequests / event.seconds : node.outRate,
    }));
    return { from: event.from, to: event.to, seconds: event.seconds, nodes, edges };
}

export type LiveState = "connecting" | "live" | "paused" | "retrying";

export interface LiveWatcher {
    onGraph(graph: Graph): void;
    /** retryInSeconds and why are there only when state is "retrying". */
    onState(state: LiveState, retryInSeconds?: number, why?: string): void;
}

const RETRY_FIRST_S = 1;
const RETRY_MOST_S = 30;

export class Live {
    private stream: EventSource | null = null;
    private timer: number | undefined;
    private graph: Graph | null = null;
    private delayS = RETRY_FIRST_S;

    constructor(
        private readonly wish: Wish,
        private readonly watcher: LiveWatcher,
    ) {}

    start(): void {
        this.close();
        this.watcher.onState("connecting");
        const url = `/api/v1/live?${queryOf(this.wish)}`;
        const stream = new EventSource(url);
        this.stream = stream;
        stream.addEventListener("graph", (message) => {
            if (this.stream !== stream) return;
            const next = applyEvent(this.graph, JSON.parse(message.data as string) as LiveEvent);
            if (!next) return;
            this.graph = next;
            this.delayS = RETRY_FIRST_S;
            this.watcher.onState("live");
            this.watcher.onGraph(next);
        });
        stream.onerror = () => {
            if (this.stream === stream) this.retryLater();
        };
    }

    pause(): void {
        this.close();
        this.watcher.onState("paused");
    }

    /** After this the watcher hears nothing more. */
    close(): void {
        this.stream?.close();
        this.stream = null;
        this.graph = null;
        window.clearTimeout(this.timer);
    }

    private retryLater(): void {
        this.close();
        const delayS = this.delayS;
        this.delayS = Math.min(RETRY_MOST_S, delayS * 2);
        this.watcher.onState("retrying", delayS, "the live stream broke off");
        const timer = window.setTimeout(() => this.start(), delayS * 1000);
        this.timer = timer;
        getGraph(this.wish).then(
            (graph) => {
                if (this.timer === timer) this.watcher.onGraph(graph);
            },
            (error: Error) => {
                if (this.timer === timer) this.watcher.onState("retrying", delayS, error.message);
            },
        );
    }
}
