// edges_of.ts - which edges of the map a span is part of. Pure.
//
// The collector says which edges a trace is part of; a span says its own service and kind, and the
// tree says who is on the other side. Both are compared by name: a resource calls itself
// "reviews" or "reviews.bookinfo", the map calls it service, workload and namespace.
import type { GraphEdge, Identity } from "../api.ts";
import type { Row, Tree } from "./tree.ts";

function isCalled(who: Identity, name: string): boolean {
    const names = [who.service, who.workload].flatMap((n) => [n, `${n}.${who.namespace}`]);
    return names.includes(name);
}

/** The next service up that is another one; null: this is where the trace begins. */
function callerOf(tree: Tree, row: Row): string | null {
    for (let up = tree.rows[row.parent]; up; up = tree.rows[up.parent])
        if (up.span.service !== row.span.service) return up.span.service;
    return null;
}

/** Other services right below. */
function calleesOf(tree: Tree, row: Row): string[] {
    const names = new Set<string>();
    for (let at = row.at + 1; at < row.end; at++) {
        const below = tree.rows[at]!;
        if (below.parent === row.at && below.span.service !== row.span.service)
            names.add(below.span.service);
    }
    return [...names];
}

export function edgesOf(tree: Tree, row: Row, edges: GraphEdge[]): GraphEdge[] {
    const { kind, service } = row.span;
    if (kind === "server" || kind === "consumer") {
        const caller = callerOf(tree, row);
        const into = edges.filter((edge) => isCalled(edge.destination, service));
        const exact = into.filter((edge) =>
            caller === null
                ? !tree.colours.has(edge.source.service)
                : isCalled(edge.source, caller),
        );
        return exact.length > 0 || into.length > 1 ? exact : into;
    }
    if (kind !== "client" && kind !== "producer") return [];
    const out = edges.filter((edge) => isCalled(edge.source, service));
    const callees = calleesOf(tree, row);
    if (callees.length > 0)
        return out.filter((edge) => callees.some((name) => isCalled(edge.destination, name)));
    // Nobody answered with a span: what the caller says of whom it called.
    const said = new Set(row.span.attributes.map((one) => String(one.value)));
    const named = out.filter(({ destination, destinationService }) =>
        [destination.service, destination.workload, destinationService].some((n) => said.has(n)),
    );
    return named.length > 0 || out.length > 1 ? named : out;
}
