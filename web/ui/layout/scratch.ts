// scratch.ts - a layout from nothing: columns, order, heights.
//
// Parts of the mesh that do not know each other are laid out one by one and stacked, the largest on
// top; boxes without any line fill a grid at the bottom. See rank.ts, order.ts and place.ts for the
// three steps.
import { type Chart, chartOf, gapBetween, isBox, type Mesh, pictureOf, rowsOf } from "./chart.ts";
import { reduceCrossings } from "./order.ts";
import { settle } from "./place.ts";
import { assignRanks, breakCycles } from "./rank.ts";
import {
    BOXES_AIRY,
    GAP_COLUMNS_MAX,
    GAP_COLUMNS_MIN,
    type Gaps,
    GAPS_AIRY,
    GAPS_DENSE,
    type Picture,
} from "./types.ts";

/** Gap between two unconnected parts, as a multiple of that between two boxes. */
const GAP_PARTS = 2;
/** Lines that run straight on through a column keep to their height more than boxes do. */
const PULL_BOXES = 1;
const PULL_BOX_PASSAGE = 2;
const PULL_PASSAGES = 8;

function roundsFor(items: number): number {
    return items <= 1200 ? 16 : 8;
}

/** Connected parts, as lists of box indexes: the largest first, then by smallest index. */
function parts(mesh: Mesh): number[][] {
    const parent = mesh.boxes.map((_, i) => i);
    const root = (v: number): number => {
        while (parent[v] !== v) v = parent[v] = parent[parent[v]!]!;
        return v;
    };
    for (const e of mesh.edges) {
        const [a, b] = [root(e.from), root(e.to)];
        parent[Math.max(a, b)] = Math.min(a, b);
    }
    const groups = new Map<number, number[]>();
    mesh.boxes.forEach((_, i) => {
        const r = root(i);
        groups.set(r, [...(groups.get(r) ?? []), i]);
    });
    return [...groups.values()].sort((a, b) => b.length - a.length || a[0]! - b[0]!);
}

function wishOf(chart: Chart, item: number, sides: ("left" | "right")[]) {
    let sum = 0;
    let weight = 0;
    for (const side of sides)
        for (const other of chart[side][item]!) {
            const ends = Number(isBox(chart, item)) + Number(isBox(chart, other));
            const pull = ends === 2 ? PULL_BOXES : ends === 1 ? PULL_BOX_PASSAGE : PULL_PASSAGES;
            sum += chart.y[other]! * pull;
            weight += pull;
        }
    return weight > 0
        ? { item, y: sum / weight, weight }
        : { item, y: chart.y[item]!, weight: 0.1 };
}

/** Heights by sweeps: level with the left, level with the right, at last with both. */
function placeRows(chart: Chart, rows: number[][]): void {
    const gap = (a: number, b: number) => gapBetween(chart, a, b);
    for (const row of rows) {
        const heights = settle(
            row.map((item) => ({ item, y: 0, weight: 1 })),
            gap,
        );
        row.forEach((item, i) => (chart.y[item] = heights[i]!));
    }
    const rounds = roundsFor(chart.rank.length);
    for (let round = 0; round < rounds; round++) {
        const sides: ("left" | "right")[] =
            round >= rounds - 4 ? ["left", "right"] : round % 2 === 0 ? ["left"] : ["right"];
        for (const row of round % 2 === 0 ? rows : [...rows].reverse()) {
            const heights = settle(
                row.map((item) => wishOf(chart, item, sides)),
                gap,
            );
            row.forEach((item, i) => (chart.y[item] = heights[i]!));
        }
    }
}

/** One connected part as a chart of its own; its items' top is at 0. Returns its height. */
function placePart(
    mesh: Mesh,
    gaps: Gaps,
    members: number[],
    rank: number[],
    boxY: number[],
): PartResult {
    const local = new Map(members.map((v, i) => [v, i]));
    const edgeIds: number[] = [];
    mesh.edges.forEach((e, i) => {
        if (local.has(e.from)) edgeIds.push(i);
    });
    const part: Mesh = {
        boxes: members.map((v) => mesh.boxes[v]!),
        index: new Map(),
        edges: edgeIds.map((i) => ({
            from: local.get(mesh.edges[i]!.from)!,
            to: local.get(mesh.edges[i]!.to)!,
        })),
        selfLinks: [],
    };
    const chart = chartOf(
        part,
        members.map((v) => rank[v]!),
        gaps,
    );
    const layers = { rows: rowsOf(chart).rows, left: chart.left, right: chart.right };
    reduceCrossings(layers);
    placeRows(chart, layers.rows);
    const top = Math.min(...chart.y.map((y, i) => y - chart.height[i]! / 2));
    const bottom = Math.max(...chart.y.map((y, i) => y + chart.height[i]! / 2));
    members.forEach((v, i) => (boxY[v] = chart.y[i]! - top));
    return { edgeIds, chart, top, height: bottom - top };
}

interface PartResult {
    edgeIds: number[];
    chart: Chart;
    top: number;
    height: number;
}

/** Boxes that nobody calls and that call nobody: as many a line as there are columns. */
function placeSingles(
    mesh: Mesh,
    gaps: Gaps,
    singles: number[],
    rank: number[],
    y: number[],
    top: number,
): void {
    const columns = Math.max(4, ...rank.map((r) => r + 1));
    let lineTop = top;
    for (let i = 0; i < singles.length; i += columns) {
        const line = singles.slice(i, i + columns);
        const height = Math.max(...line.map((v) => mesh.boxes[v]!.height));
        line.forEach((v, column) => {
            rank[v] = column;
            y[v] = lineTop + height / 2;
        });
        lineTop += height + gaps.boxes;
    }
}

function pitchFor(mesh: Mesh, rank: number[], boxWidth: number): number {
    const columns = Math.max(1, ...rank.map((r) => r + 1));
    const gap = GAP_COLUMNS_MIN + (mesh.edges.length / columns) * 1.2;
    return boxWidth + Math.min(GAP_COLUMNS_MAX, gap);
}

export function layOutAfresh(mesh: Mesh): Picture {
    const gaps = mesh.boxes.length > BOXES_AIRY ? GAPS_DENSE : GAPS_AIRY;
    const boxWidth = Math.max(0, ...mesh.boxes.map((box) => box.width));
    const turned = breakCycles(mesh.boxes.length, mesh.edges);
    const rank = assignRanks(mesh.boxes.length, turned);
    const boxY = new Array<number>(mesh.boxes.length).fill(0);
    const passageY = new Map<number, number[]>(); // by edge
    const all = parts(mesh);
    let top = 0;
    for (const members of all.filter((part) => part.length > 1)) {
        const least = Math.min(...members.map((v) => rank[v]!));
        for (const v of members) rank[v]! -= least;
        const done = placePart(mesh, gaps, members, rank, boxY);
        for (const v of members) boxY[v]! += top;
        done.edgeIds.forEach((id, i) =>
            passageY.set(
                id,
                done.chart.passages[i]!.map((p) => done.chart.y[p]! - done.top + top),
            ),
        );
        top += done.height + GAP_PARTS * gaps.boxes;
    }
    const singles = all.filter((part) => part.length === 1).flat();
    placeSingles(mesh, gaps, singles, rank, boxY, top);
    const chart = chartOf(mesh, rank, gaps);
    boxY.forEach((y, v) => (chart.y[v] = y));
    chart.passages.forEach((items, id) =>
        items.forEach((p, i) => (chart.y[p] = passageY.get(id)![i]!)),
    );
    return pictureOf(chart, pitchFor(mesh, rank, boxWidth), boxWidth);
}
