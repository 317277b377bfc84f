// tree.ts - the spans of a trace as the rows of a waterfall. Pure.
//
// Rows stand in the order they are read: a span, then what it caused, by start. A row knows where
// its descendants end, so folding one is a jump and needs no walk. Parents are followed with lists
// instead of recursion, because the depth of a trace is the sender's choice; spans that are in a
// circle of parents, or whose parent is not there, begin at the margin.
import type { Span, Trace } from "./data.ts";

export interface Row {
    span: Span;
    at: number; // its place among all rows
    end: number; // the place after its last descendant
    parent: number; // -1: none
    depth: number;
    startMs: number; // since the trace began
    isError: boolean;
    errorsBelow: number;
    colour: number; // of its service
}

export interface Tree {
    rows: Row[];
    durationMs: number;
    errors: number;
    colours: Map<string, number>; // by service, in order of appearance
}

const NOBODY = -1;

const MOVED_SEEN_MS = 1; // less is between any two clocks, and is told in the details alone

/** Times that were corrected by so much that one has to know. */
export const isMoved = (span: Span): boolean =>
    Math.abs(Number(span.movedNs)) >= MOVED_SEEN_MS * 1e6;

/** Milliseconds between two times in nanoseconds; exact before it becomes a number. */
export function betweenMs(fromNs: string, toNs: string): number {
    return Number(BigInt(toNs) - BigInt(fromNs)) / 1e6;
}

/** For each span the place of its parent; of spans with one id the first is it. */
function parentsOf(spans: Span[]): Int32Array {
    const byId = new Map<string, number>();
    spans.forEach((span, i) => {
        if (span.spanId && !byId.has(span.spanId)) byId.set(span.spanId, i);
    });
    return Int32Array.from(spans, (span, i) => {
        const parent = span.parentId ? byId.get(span.parentId) : undefined;
        return parent === undefined || parent === i ? NOBODY : parent;
    });
}

/** First child and next sibling of each span, siblings by start. */
function familyOf(parents: Int32Array, byStart: Int32Array) {
    const first = new Int32Array(parents.length).fill(NOBODY);
    const next = new Int32Array(parents.length).fill(NOBODY);
    for (let k = byStart.length - 1; k >= 0; k--) {
        const i = byStart[k]!;
        const parent = parents[i]!;
        if (parent === NOBODY) continue;
        next[i] = first[parent]!;
        first[parent] = i;
    }
    return { first, next };
}

export function treeOf(trace: Trace): Tree {
    const { spans } = trace;
    const starts = spans.map((span) => betweenMs(trace.startNs, span.startNs));
    const byStart = Int32Array.from(spans.keys()).sort((a, b) => starts[a]! - starts[b]! || a - b);
    const parents = parentsOf(spans);
    const { first, next } = familyOf(parents, byStart);
    const rows: Row[] = [];
    const rowOf = new Int32Array(spans.length).fill(NOBODY);
    const colours = new Map<string, number>();

    const put = (i: number) => {
        const span = spans[i]!;
        if (!colours.has(span.service)) colours.set(span.service, colours.size);
        const parent = parents[i] === NOBODY ? NOBODY : rowOf[parents[i]!]!;
        const at = rows.length;
        rowOf[i] = at;
        rows.push({
            span,
            at,
            end: at + 1,
            parent,
            depth: parent === NOBODY ? 0 : rows[parent]!.depth + 1,
            startMs: starts[i]!,
            isError: span.status === "error",
            errorsBelow: 0,
            colour: colours.get(span.service)!,
        });
    };
    const walk = (root: number) => {
        const todo = [root];
        while (todo.length > 0) {
            const i = todo.pop()!;
            if (rowOf[i] !== NOBODY) continue; // a circle, met again
            put(i);
            const children: number[] = [];
            for (let child = first[i]!; child !== NOBODY; child = next[child]!)
                children.push(child);
            for (let k = children.length - 1; k >= 0; k--) todo.push(children[k]!);
        }
    };
    for (const i of byStart) if (parents[i] === NOBODY) walk(i);
    for (const i of byStart) if (rowOf[i] === NOBODY) walk(i);

    for (let at = rows.length - 1; at >= 0; at--) {
        const row = rows[at]!;
        const parent = rows[row.parent];
        if (!parent) continue;
        parent.end = Math.max(parent.end, row.end);
        parent.errorsBelow += row.errorsBelow + (row.isError ? 1 : 0);
    }
    const errors = rows.filter((row) => row.isError).length;
    return { rows, durationMs: trace.durationMs, errors, colours };
}

/** The rows that are seen when those in `folded` hide what is below them. */
export function visibleRows(tree: Tree, folded: ReadonlySet<number>): Row[] {
    if (folded.size === 0) return tree.rows;
    const seen: Row[] = [];
    for (let at = 0; at < tree.rows.length;) {
        const row = tree.rows[at]!;
        seen.push(row);
        at = folded.has(at) ? row.end : at + 1;
    }
    return seen;
}

/** `folded` without what hides a row. */
export function unfoldedTo(tree: Tree, folded: ReadonlySet<number>, at: number): Set<number> {
    const open = new Set(folded);
    for (let up = tree.rows[at]?.parent ?? NOBODY; up !== NOBODY; up = tree.rows[up]!.parent)
        open.delete(up);
    return open;
}

/** The next row after a place (before it when step is -1) of which something holds, round the end;
 * -1: of none. */
export function nextWhere(
    tree: Tree,
    at: number,
    step: 1 | -1,
    holds: (row: Row) => boolean,
): number {
    const { length } = tree.rows;
    for (let n = 1; n <= length; n++) {
        const place = (((at + step * n) % length) + length) % length;
        if (holds(tree.rows[place]!)) return place;
    }
    return NOBODY;
}
