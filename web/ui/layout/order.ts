// order.ts - the order of each column from top to bottom, chosen for few crossings.
//
// The classic layer sweep: hold one column still, sort the next by the median (later the mean) of
// its neighbours' positions, to and fro; after each sweep neighbours swap where that removes a
// crossing. It is a heuristic, so it starts from a few fixed orders and keeps the best it saw.
// How much work is done depends on the number of items, never on the clock: a time limit would
// make two runs on the same mesh differ by hundreds of pixels.
import type { Adjacency } from "./types.ts";

export interface Layers {
    rows: number[][]; // items of each column, top to bottom
    left: Adjacency; // neighbours in the column before
    right: Adjacency; // neighbours in the column after
}

interface Effort {
    starts: number;
    sweeps: number;
    swaps: number; // passes of neighbour swaps after a sweep
}

function effortFor(items: number): Effort {
    if (items <= 150) return { starts: 4, sweeps: 10, swaps: 4 };
    if (items <= 1200) return { starts: 3, sweeps: 10, swaps: 3 };
    return { starts: 2, sweeps: 6, swaps: 1 };
}

/** Inversions, counted with a Fenwick tree: crossings between one column and the next. */
function crossingsBetween(row: number[], right: Adjacency, at: Int32Array, width: number): number {
    const tree = new Int32Array(width + 1);
    let seen = 0;
    let crossings = 0;
    for (const v of row) {
        const ends = right[v]!.map((w) => at[w]!).sort((a, b) => a - b);
        for (const end of ends) {
            let notAbove = 0;
            for (let i = end + 1; i > 0; i -= i & -i) notAbove += tree[i]!;
            crossings += seen - notAbove;
        }
        for (const end of ends) for (let i = end + 1; i <= width; i += i & -i) tree[i]!++;
        seen += ends.length;
    }
    return crossings;
}

function positions(rows: number[][], items: number): Int32Array {
    const at = new Int32Array(items);
    for (const row of rows) for (let i = 0; i < row.length; i++) at[row[i]!] = i;
    return at;
}

export function countCrossings(layers: Layers): number {
    const at = positions(layers.rows, layers.left.length);
    let total = 0;
    for (let r = 0; r + 1 < layers.rows.length; r++)
        total += crossingsBetween(layers.rows[r]!, layers.right, at, layers.rows[r + 1]!.length);
    return total;
}

function median(sorted: number[]): number {
    const mid = sorted.length >> 1;
    if (sorted.length % 2 === 1) return sorted[mid]!;
    if (sorted.length === 2) return (sorted[0]! + sorted[1]!) / 2;
    // Between the two middle ones, nearer to the side on which the others lie closer together.
    const below = sorted[mid - 1]! - sorted[0]!;
    const above = sorted[sorted.length - 1]! - sorted[mid]!;
    if (below + above === 0) return (sorted[mid - 1]! + sorted[mid]!) / 2;
    return (sorted[mid - 1]! * above + sorted[mid]! * below) / (below + above);
}

/** Sorts row by its neighbours' places; items without neighbours keep their place. */
function sortRow(row: number[], near: Adjacency, at: Int32Array, useMean: boolean): void {
    const keyed = row.map((v, i) => {
        const places = near[v]!.map((w) => at[w]!);
        if (places.length === 0) return { v, i, key: -1 };
        const key = useMean
            ? places.reduce((sum, p) => sum + p, 0) / places.length
            : median(places.sort((a, b) => a - b));
        return { v, i, key };
    });
    const moving = keyed.filter((k) => k.key >= 0).sort((a, b) => a.key - b.key || a.i - b.i);
    let next = 0;
    for (let i = 0; i < row.length; i++)
        row[i] = keyed[i]!.key >= 0 ? moving[next++]!.v : keyed[i]!.v;
    for (let i = 0; i < row.length; i++) at[row[i]!] = i;
}

/** Crossings between the lines of a and b when a is above; both lists sorted. */
function pairCrossings(a: number[], b: number[]): number {
    let crossings = 0;
    let below = 0;
    for (const end of a) {
        while (below < b.length && b[below]! < end) below++;
        crossings += below;
    }
    return crossings;
}

function swapNeighbours(layers: Layers, at: Int32Array, takeTies: boolean): boolean {
    const ends = (list: number[]) => list.map((w) => at[w]!).sort((a, b) => a - b);
    let changed = false;
    for (const row of layers.rows) {
        // The columns on both sides stand still meanwhile, so the ends are sorted once.
        const left = row.map((v) => ends(layers.left[v]!));
        const right = row.map((v) => ends(layers.right[v]!));
        const swap = <T>(list: T[], i: number) =>
            ([list[i], list[i + 1]] = [list[i + 1]!, list[i]!]);
        for (let i = 0; i + 1 < row.length; i++) {
            const [al, bl, ar, br] = [left[i]!, left[i + 1]!, right[i]!, right[i + 1]!];
            const now = pairCrossings(al, bl) + pairCrossings(ar, br);
            if (now === 0) continue;
            const swapped = pairCrossings(bl, al) + pairCrossings(br, ar);
            if (swapped > now || (swapped === now && !takeTies)) continue;
            swap(row, i);
            swap(left, i);
            swap(right, i);
            changed ||= swapped < now;
        }
        row.forEach((v, i) => (at[v] = i));
    }
    return changed;
}

function sweep(layers: Layers, at: Int32Array, round: number, effort: Effort): void {
    const useMean = round >= effort.sweeps / 2;
    const { rows, left, right } = layers;
    if (round % 2 === 0) for (let r = 1; r < rows.length; r++) sortRow(rows[r]!, left, at, useMean);
    else for (let r = rows.length - 2; r >= 0; r--) sortRow(rows[r]!, right, at, useMean);
    for (let pass = 0; pass < effort.swaps; pass++)
        if (!swapNeighbours(layers, at, pass % 2 === 1)) break;
}

/** Rows in the order in which a walk from one side first meets the items. */
function walkOrder(layers: Layers, fromRight: boolean, deep: boolean): number[][] {
    const forward = fromRight ? layers.left : layers.right;
    const rowOf = new Map<number, number>();
    layers.rows.forEach((row, r) => row.forEach((v) => rowOf.set(v, r)));
    const rows: number[][] = layers.rows.map(() => []);
    const seen = new Set<number>();
    const starts = fromRight ? [...layers.rows].reverse() : layers.rows;
    for (const start of starts.flat()) {
        const queue = [start];
        while (queue.length > 0) {
            const v = (deep ? queue.pop() : queue.shift())!;
            if (seen.has(v)) continue;
            seen.add(v);
            rows[rowOf.get(v)!]!.push(v);
            const next = forward[v]!;
            for (let i = 0; i < next.length; i++) queue.push(next[deep ? next.length - 1 - i : i]!);
        }
    }
    return rows;
}

/** Reorders layers.rows in place. */
export function reduceCrossings(layers: Layers): void {
    const items = layers.left.length;
    const effort = effortFor(items);
    const starts = [
        walkOrder(layers, false, true),
        walkOrder(layers, false, false),
        walkOrder(layers, true, true),
        layers.rows.map((row) => [...row]),
    ].slice(0, effort.starts);
    let best = layers.rows;
    let fewest = Infinity;
    for (const rows of starts) {
        const tried: Layers = { ...layers, rows };
        const at = positions(rows, items);
        for (let round = 0; round < effort.sweeps && fewest > 0; round++) {
            sweep(tried, at, round, effort);
            const crossings = countCrossings(tried);
            if (crossings < fewest) {
                fewest = crossings;
                best = rows.map((row) => [...row]);
            }
        }
    }
    layers.rows = best;
}
