// mesh.ts - from the collector's nodes and edges to what the page shows: cards and lines.
//
// The collector's node is a workload at one version. People think in services, so the versions of
// one service share a card, with a row for each; a line keeps the collector's granularity and ends
// at the row. So every line shows exactly one edge of the API, with that edge's own percentiles:
// percentiles of several edges cannot be added up to one.
import type { Graph, GraphEdge, GraphNode, Health, Identity } from "./api.ts";
import * as format from "./format.ts";

export interface Row {
    node: GraphNode;
    label: string; // the version
    share: number; // of the card's incoming requests, 0 to 1
}

export interface Card {
    id: string;
    name: string;
    namespace: string;
    kind: GraphNode["type"];
    isEntry: boolean; // called from outside of the mesh
    rows: Row[]; // at least one
    inRate: number;
    outRate: number;
    errorShare: number; // of incoming requests; of outgoing ones where there are none
    health: Health;
    width: number;
    height: number;
}

export interface Line {
    edge: GraphEdge;
    from: string; // card
    to: string;
    fromRow: number; // -1: the card has one row only
    toRow: number;
    name: string; // "productpage to reviews v2"
}

export interface Mesh {
    cards: Map<string, Card>;
    lines: Line[];
    into: Map<string, Line[]>; // by destination card
    out: Map<string, Line[]>; // by source card
    mutualLines: number;
}

export const CARD_WIDTH = 162;
export const CARD_HEAD_HEIGHT = 46;
export const CARD_ROW_HEIGHT = 22;

const WORST: Health[] = ["failing", "degraded", "healthy", "idle"];

export function worst(list: Health[]): Health {
    return WORST.find((health) => list.includes(health)) ?? "idle";
}

const known = (part: string) => part !== "" && part !== "unknown";

/** What to call a node where there is little room. */
export function shortName(who: Identity): string {
    if (known(who.service)) return who.service;
    if (known(who.workload)) return who.workload;
    // Only a roll-up by namespace leaves these two empty.
    return who.service === "" && who.workload === "" ? who.namespace : "unknown";
}

/** The same with the version, where it says something. */
export function fullName(who: Identity): string {
    const tells = known(who.version) && who.version !== "latest";
    return tells ? `${shortName(who)} ${who.version}` : shortName(who);
}

function cardId(node: Identity): string {
    if (!known(node.service)) return node.id; // nothing that could be shared
    return [node.cluster, node.namespace, node.service].join("/");
}

const byCode = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function cardOf(id: string, nodes: GraphNode[]): Card {
    nodes.sort((a, b) => byCode(a.version, b.version) || byCode(a.workload, b.workload));
    const sum = (pick: (node: GraphNode) => number) =>
        nodes.reduce((total, node) => total + pick(node), 0);
    const requests = sum((n) => n.inRequests);
    const sent = sum((n) => n.outRequests);
    const errorShare =
        requests > 0
            ? sum((n) => n.inFailures) / requests
            : sent > 0
              ? sum((n) => n.outFailures) / sent
              : 0;
    const first = nodes[0]!;
    return {
        id,
        name: shortName(first),
        namespace: first.namespace,
        kind: first.type,
        isEntry: false,
        rows: nodes.map((node) => ({
            node,
            label: known(node.version) ? node.version : node.workload,
            share: requests > 0 ? node.inRequests / requests : 0,
        })),
        inRate: sum((n) => n.inRate),
        outRate: sum((n) => n.outRate),
        errorShare,
        health: worst(nodes.map((node) => node.health)),
        width: CARD_WIDTH,
        height: CARD_HEAD_HEIGHT + (nodes.length > 1 ? nodes.length * CARD_ROW_HEIGHT + 6 : 0),
    };
}

const TLS_WORDS: Record<string, string> = {
    mutual: "mutual TLS",
    tls: "TLS without client identity",
    plaintext: "plaintext",
    unknown: "TLS unknown",
};

/** How many failed, and how many of them because of what was asked for. */
export function failureWords(edge: GraphEdge): string {
    const asked = edge.failures - edge.errors;
    const all = format.count(edge.failures);
    if (asked === 0) return all;
    return edge.errors === 0 ? `${all}, all HTTP 4xx` : `${all}, ${format.count(asked)} of them HTTP 4xx`;
}

/** Share of requests under mutual TLS. */
export function mutualShare(edge: GraphEdge): number {
    return edge.requests > 0 ? edge.tls.mutual / edge.requests : 0;
}

export function tlsWords(edge: GraphEdge): string {
    if (edge.tls.state !== "mixed") return TLS_WORDS[edge.tls.state] ?? edge.tls.state;
    return `mutual TLS on ${format.percent(mutualShare(edge))} of requests`;
}

function lineOf(edge: GraphEdge, cards: Map<string, Card>, cardOfNode: Map<string, string>): Line {
    const from = cardOfNode.get(edge.source.id) ?? cardId(edge.source);
    const to = cardOfNode.get(edge.destination.id) ?? cardId(edge.destination);
    const rowOf = (card: string, node: string) => {
        const rows = cards.get(card)?.rows ?? [];
        return rows.length > 1 ? rows.findIndex((row) => row.node.id === node) : -1;
    };
    const fromRow = rowOf(from, edge.source.id);
    const toRow = rowOf(to, edge.destination.id);
    const source = fromRow >= 0 ? fullName(edge.source) : shortName(edge.source);
    const destination = toRow >= 0 ? fullName(edge.destination) : shortName(edge.destination);
    return { edge, from, to, fromRow, toRow, name: `${source} to ${destination}` };
}

/** An edge for a screen reader. */
export function lineSentence({ edge, name }: Line): string {
    const parts = [
        name,
        edge.protocol === "http" ? "" : edge.protocol,
        format.rateWords(edge.rate),
        `${format.percent(edge.failureRate)} errors`,
        `p95 ${format.latency(edge.latency.p95Ms)}`,
        tlsWords(edge),
    ];
    return parts.filter(Boolean).join(", ");
}

export function groupBy<T>(list: T[], key: (item: T) => string): Map<string, T[]> {
    const groups = new Map<string, T[]>();
    for (const item of list) {
        const group = groups.get(key(item));
        if (group) group.push(item);
        else groups.set(key(item), [item]);
    }
    return groups;
}

export function meshOf(graph: Graph): Mesh {
    const groups = groupBy(graph.nodes, cardId);
    const cardOfNode = new Map(graph.nodes.map((node) => [node.id, cardId(node)]));
    const cards = new Map<string, Card>();
    for (const id of [...groups.keys()].sort(byCode)) cards.set(id, cardOf(id, groups.get(id)!));
    const lines = graph.edges
        .map((edge) => lineOf(edge, cards, cardOfNode))
        .filter((line) => cards.has(line.from) && cards.has(line.to))
        .sort((a, b) => byCode(a.name, b.name) || byCode(a.edge.id, b.edge.id));
    const isOutside = (id: string) => ["external", "unknown"].includes(cards.get(id)!.kind);
    for (const line of lines)
        if (isOutside(line.from) && !isOutside(line.to)) cards.get(line.to)!.isEntry = true;
    const mutualLines = lines.filter((line) => line.edge.tls.state === "mutual").length;
    const into = groupBy(lines, (line) => line.to);
    const out = groupBy(lines, (line) => line.from);
    return { cards, lines, into, out, mutualLines };
}

/** A card for a screen reader. */
export function cardSentence(card: Card, mesh: Mesh): string {
    const into = mesh.into.get(card.id) ?? [];
    const out = mesh.out.get(card.id) ?? [];
    const slowest = Math.max(0, ...into.map((line) => line.edge.latency.p95Ms));
    const versions =
        card.rows.length > 1 ? `versions ${card.rows.map((r) => r.label).join(", ")}` : "";
    return [
        card.name,
        versions,
        card.inRate > 0 ? format.rateWords(card.inRate) : "",
        `${format.percent(card.errorShare)} errors`,
        into.length > 0 ? `p95 up to ${format.latency(slowest)}` : "",
        `calls ${new Set(out.map((l) => l.to)).size}`,
        `called by ${new Set(into.map((l) => l.from)).size}`,
        card.health,
    ]
        .filter(Boolean)
        .join(", ");
}
