// rank.ts - gives every box its column.
//
// Calls may go round in circles, columns may not. So first a small set of edges is turned round
// (Eades, Lin and Smyth: peel off sinks and sources, and when neither is left the box with the
// largest surplus of outgoing edges; edges that then point backwards are the ones to turn). Then
// each box goes as far left as its callers allow (longest path), and a box that calls more than it
// is called is pulled right until it touches what it calls, which shortens lines.
//
// Both steps take boxes in index order, so equal input gives equal columns.
import { adjacency, type Adjacency } from "./types.ts";

export interface Edge {
    from: number;
    to: number;
}

/** Position of each box in an order in which few edges point backwards. */
export function peelOrder(n: number, edges: Edge[]): number[] {
    const out = adjacency(n);
    const into = adjacency(n);
    for (const e of edges) {
        out[e.from]!.push(e.to);
        into[e.to]!.push(e.from);
    }
    const outLeft = out.map((list) => list.length);
    const intoLeft = into.map((list) => list.length);
    const place = new Array<number>(n).fill(-1);
    let head = 0;
    let tail = n - 1;
    const take = (v: number, at: number) => {
        place[v] = at;
        for (const w of out[v]!) intoLeft[w]!--;
        for (const u of into[v]!) outLeft[u]!--;
    };
    while (head <= tail) {
        let progress = true;
        while (progress) {
            progress = false;
            for (let v = n - 1; v >= 0; v--)
                if (place[v]! < 0 && outLeft[v] === 0) {
                    take(v, tail--);
                    progress = true;
                }
            for (let v = 0; v < n; v++)
                if (place[v]! < 0 && intoLeft[v] === 0) {
                    take(v, head++);
                    progress = true;
                }
        }
        if (head > tail) break;
        let best = -1;
        for (let v = 0; v < n; v++)
            if (
                place[v]! < 0 &&
                (best < 0 || outLeft[v]! - intoLeft[v]! > outLeft[best]! - intoLeft[best]!)
            )
                best = v;
        take(best, head++);
    }
    return place;
}

/** Edges with the few that point backwards turned round; parallel to the input. */
export function breakCycles(n: number, edges: Edge[]): Edge[] {
    const place = peelOrder(n, edges);
    return edges.map((e) => (place[e.from]! <= place[e.to]! ? e : { from: e.to, to: e.from }));
}

function topological(n: number, out: Adjacency, into: Adjacency): number[] {
    const waiting = into.map((list) => list.length);
    const order: number[] = [];
    for (let v = 0; v < n; v++) if (waiting[v] === 0) order.push(v);
    for (let i = 0; i < order.length; i++)
        for (const w of out[order[i]!]!) if (--waiting[w]! === 0) order.push(w);
    return order;
}

/** Columns from 0; edges must be free of cycles. */
export function assignRanks(n: number, edges: Edge[]): number[] {
    const out = adjacency(n);
    const into = adjacency(n);
    for (const e of edges) {
        out[e.from]!.push(e.to);
        into[e.to]!.push(e.from);
    }
    const order = topological(n, out, into);
    const rank = new Array<number>(n).fill(0);
    for (const v of order) for (const w of out[v]!) rank[w] = Math.max(rank[w]!, rank[v]! + 1);
    for (let i = order.length - 1; i >= 0; i--) {
        const v = order[i]!;
        if (out[v]!.length > into[v]!.length)
            rank[v] = Math.min(...out[v]!.map((w) => rank[w]!)) - 1;
    }
    const least = Math.min(0, ...rank);
    return least < 0 ? rank.map((r) => r - least) : rank;
}
