// chart.ts - boxes and links as indexes: the form in which both kinds of layout work.
//
// An item is a box or a passage. Boxes come first, in order of their ids, so that equal meshes give
// equal numbers whatever order the traffic arrived in. A link over several columns gets a passage
// in each column between; after that every line joins neighbouring columns, and a line through a
// foreign box cannot happen.
import type { Edge } from "./rank.ts";
import {
    adjacency,
    type Adjacency,
    type Box,
    type Gaps,
    type Link,
    linkKey,
    type Picture,
    type Route,
} from "./types.ts";

export interface Mesh {
    boxes: Box[]; // sorted by id
    index: Map<string, number>;
    edges: Edge[]; // distinct, no box to itself
    selfLinks: string[]; // ids
}

export interface Chart {
    mesh: Mesh;
    gaps: Gaps;
    rank: number[]; // by item
    height: number[]; // by item; passages have none
    y: number[]; // by item
    left: Adjacency;
    right: Adjacency;
    passages: number[][]; // by edge: items from the source's side to the destination's
}

const byCode = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

export function meshOf(boxes: Box[], links: Link[]): Mesh {
    const sorted = [...boxes].sort((a, b) => byCode(a.id, b.id));
    const index = new Map(sorted.map((box, i) => [box.id, i]));
    const selfLinks = new Set<string>();
    const distinct = new Map<string, Edge>();
    for (const link of links) {
        const from = index.get(link.from);
        const to = index.get(link.to);
        if (from === undefined || to === undefined) continue;
        if (from === to) selfLinks.add(link.from);
        else distinct.set(linkKey(link.from, link.to), { from, to });
    }
    const edges = [...distinct.values()].sort((a, b) => a.from - b.from || a.to - b.to);
    return { boxes: sorted, index, edges, selfLinks: [...selfLinks].sort(byCode) };
}

/** Lays passages; rank is by box. Links within one column get no passage and join nothing. */
export function chartOf(mesh: Mesh, boxRank: number[], gaps: Gaps): Chart {
    const rank = [...boxRank];
    const height = mesh.boxes.map((box) => box.height);
    const passages: number[][] = [];
    const steps: [number, number][] = []; // left item, right item
    for (const e of mesh.edges) {
        const way = Math.sign(rank[e.to]! - rank[e.from]!);
        const items: number[] = [];
        for (let r = rank[e.from]! + way; way !== 0 && r !== rank[e.to]!; r += way) {
            items.push(rank.length);
            rank.push(r);
            height.push(0);
        }
        passages.push(items);
        const line = [e.from, ...items, e.to];
        for (let i = 0; way !== 0 && i + 1 < line.length; i++)
            steps.push(way > 0 ? [line[i]!, line[i + 1]!] : [line[i + 1]!, line[i]!]);
    }
    const left = adjacency(rank.length);
    const right = adjacency(rank.length);
    for (const [a, b] of steps) {
        right[a]!.push(b);
        left[b]!.push(a);
    }
    const y = new Array<number>(rank.length).fill(0);
    return { mesh, gaps, rank, height, y, left, right, passages };
}

export function isBox(chart: Chart, item: number): boolean {
    return item < chart.mesh.boxes.length;
}

/** Smallest distance of two centres that are neighbours in a column. */
export function gapBetween(chart: Chart, a: number, b: number): number {
    const gap =
        isBox(chart, a) && isBox(chart, b)
            ? chart.gaps.boxes
            : isBox(chart, a) || isBox(chart, b)
              ? chart.gaps.boxPassage
              : chart.gaps.passages;
    return (chart.height[a]! + chart.height[b]!) / 2 + gap;
}

/** Items by column, from the leftmost; least is its rank. */
export function rowsOf(chart: Chart): { rows: number[][]; least: number } {
    const least = Math.min(...chart.rank);
    const rows: number[][] = [];
    chart.rank.forEach((r, item) => (rows[r - least] ??= []).push(item));
    for (let r = 0; r < rows.length; r++) rows[r] ??= [];
    return { rows, least };
}

function shapeOf(from: number, to: number): Route["shape"] {
    return from < to ? "forward" : from > to ? "back" : "side";
}

export function pictureOf(chart: Chart, pitch: number, boxWidth: number): Picture {
    const { boxes, edges, selfLinks } = chart.mesh;
    const routes = new Map<string, Route>();
    edges.forEach((e, i) =>
        routes.set(linkKey(boxes[e.from]!.id, boxes[e.to]!.id), {
            shape: shapeOf(chart.rank[e.from]!, chart.rank[e.to]!),
            passages: chart.passages[i]!.map((p) => ({ rank: chart.rank[p]!, y: chart.y[p]! })),
        }),
    );
    for (const id of selfLinks) routes.set(linkKey(id, id), { shape: "self", passages: [] });
    const placed = boxes.map((box, i) => ({
        ...box,
        rank: chart.rank[i]!,
        x: chart.rank[i]! * pitch,
        y: chart.y[i]!,
    }));
    const placedById = new Map(placed.map((box) => [box.id, box]));
    return { boxes: placedById, routes, pitch, boxWidth, gaps: chart.gaps };
}
