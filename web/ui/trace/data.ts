// data.ts - traces as the collector gives them: the shapes are those of docs/api.md.
import { getJson, type GraphEdge, type Identity } from "../api.ts";

/** Whole numbers are text, bytes base64, arrays lists of values, maps lists of attributes. */
export interface Value {
    type: "string" | "bool" | "int" | "double" | "bytes" | "array" | "map" | "empty";
    value?: unknown;
}

export interface Attribute extends Value {
    key: string;
}

export interface SpanEvent {
    timeNs: string;
    name: string;
    attributes: Attribute[];
    droppedAttributes: number;
}

export interface SpanLink {
    traceId: string | null;
    spanId: string | null;
    attributes: Attribute[];
    droppedAttributes: number;
}

export interface Span {
    spanId: string | null;
    parentId: string | null;
    name: string;
    kind: string;
    service: string;
    startNs: string;
    endNs: string;
    durationMs: number;
    status: "unset" | "ok" | "error";
    statusMessage: string;
    traceState: string;
    attributes: Attribute[];
    droppedAttributes: number;
    events: SpanEvent[];
    droppedEvents: number;
    links: SpanLink[];
    droppedLinks: number;
    resource: number;
    scope: number;
    movedNs: string; // what the times were moved by, because a clock was off
    warnings: string[];
}

export interface Resource {
    attributes: Attribute[];
    droppedAttributes: number;
}

export interface Trace {
    traceId: string;
    start: string;
    startNs: string;
    durationMs: number;
    services: string[];
    spans: Span[];
    resources: Resource[];
    scopes: (Resource & { name: string; version: string })[];
    incomplete: boolean; // it has more spans than these
}

export const getTrace = (id: string) => getJson<Trace>(`/api/v1/traces/${id}?repaired=true`);

/** The edges of the map that a trace is part of. */
export async function getEdgesOf(id: string): Promise<GraphEdge[]> {
    return (await getJson<{ edges: GraphEdge[] }>(`/api/v1/graph?trace=${id}`)).edges;
}

export interface Summary {
    traceId: string;
    start: string;
    durationMs: number;
    spans: number;
    errors: number;
    rootService: string;
    rootName: string;
}

export interface Found {
    from: string;
    to: string;
    incomplete: boolean;
    incompleteBecause?: "time" | "spans";
    next?: string;
    traces: Summary[];
}

export const findTraces = (query: string) => getJson<Found>(`/api/v1/traces?${query}`);

export interface Service {
    name: string;
    operations: { name: string; kind: string }[];
}

const SERVICES_MOST = 500; // to suggest from; more are not read

export async function getServices(): Promise<Service[]> {
    const path = `/api/v1/services?limit=${SERVICES_MOST}`;
    return (await getJson<{ services: Service[] }>(path)).services;
}

/** One request of an edge. */
export interface Call {
    start: string;
    durationMs: number;
    method: string;
    path: string;
    protocol: string;
    code: number | null;
    grpcStatus: number | null;
    error: boolean;
    flags: string;
    traceId: string | null;
}

export interface Exemplars {
    from: string;
    to: string;
    edge: GraphEdge & { source: Identity; destination: Identity };
    lookedAt: number;
    complete: boolean;
    ranges: { range: string; requests: number; exemplars: Call[] }[];
    failed: { requests: number; exemplars: Call[] };
}

export function getExemplars(edge: string, window: string): Promise<Exemplars> {
    const query = new URLSearchParams({ window, limit: "10" });
    return getJson(`/api/v1/edges/${encodeURIComponent(edge)}/exemplars?${query}`);
}
