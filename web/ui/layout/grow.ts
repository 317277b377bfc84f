// grow.ts - the next layout of a mesh that changed a little: what stayed, stays.
//
// People find a service by where it was, so old boxes keep their column and, as far as no two
// overlap, their height; old lines keep their bends. A newcomer goes to the column between those it
// talks to, into the nearest gap that has room, and only where there is none do its neighbours
// yield. The picture gets a little worse with every change; making it anew is for the reader to
// ask for.
import { type Chart, chartOf, gapBetween, isBox, type Mesh, pictureOf, rowsOf } from "./chart.ts";
import { settle } from "./place.ts";
import { type Gaps, linkKey, type Picture } from "./types.ts";

/** How firmly an item keeps its height where a column gets too full. */
const HOLD_OLD_BOX = 100;
const HOLD_OLD_PASSAGE = 4;
const HOLD_NEW = 1;
/** Pushing one box by a unit is as bad as being this many units from the wished place. */
const PUSH_COST = 1.5;

/** Newcomers in an order in which each, where possible, touches one that is placed already. */
function arrivals(mesh: Mesh, known: (v: number) => boolean): number[] {
    const near = mesh.boxes.map((): number[] => []);
    for (const e of mesh.edges) {
        near[e.from]!.push(e.to);
        near[e.to]!.push(e.from);
    }
    const order: number[] = [];
    const seen = new Set<number>();
    const walk = (start: number[]) => {
        const queue = start;
        for (let i = 0; i < queue.length; i++)
            for (const w of near[queue[i]!]!)
                if (!known(w) && !seen.has(w)) {
                    seen.add(w);
                    order.push(w);
                    queue.push(w);
                }
    };
    walk(mesh.boxes.map((_, v) => v).filter(known));
    for (let v = 0; v < mesh.boxes.length; v++)
        if (!known(v) && !seen.has(v)) {
            seen.add(v);
            order.push(v);
            walk([v]);
        }
    return order;
}

/** The column after all callers; before all callees when nobody calls; else the first. */
function rankFor(mesh: Mesh, v: number, rank: (number | undefined)[]): number {
    const callers: number[] = [];
    const callees: number[] = [];
    for (const e of mesh.edges) {
        const [from, to] = [rank[e.from], rank[e.to]];
        if (e.to === v && from !== undefined) callers.push(from);
        if (e.from === v && to !== undefined) callees.push(to);
    }
    if (callers.length > 0) {
        const after = Math.max(...callers) + 1;
        const before = callees.length > 0 ? Math.min(...callees) - 1 : after;
        return before >= Math.min(...callers) + 1 ? Math.min(after, before) : after;
    }
    return callees.length > 0 ? Math.min(...callees) - 1 : 0;
}

interface Column {
    boxes: { y: number; height: number }[];
    passages: number[]; // heights
}

function columnAt(rank: number, mesh: Mesh, ranks: (number | undefined)[], old: Picture): Column {
    const column: Column = { boxes: [], passages: [] };
    mesh.boxes.forEach((box, i) => {
        const y = old.boxes.get(box.id)?.y;
        if (ranks[i] === rank && y !== undefined) column.boxes.push({ y, height: box.height });
    });
    for (const route of old.routes.values())
        for (const passage of route.passages)
            if (passage.rank === rank) column.passages.push(passage.y);
    return column;
}

/** Where in its column a new box of this height disturbs least. */
function findRoom(column: Column, gaps: Gaps, wish: number, height: number): number {
    const { boxes, passages } = column;
    let best = wish;
    let least = Infinity;
    for (let i = 0; i <= boxes.length; i++) {
        const top = i > 0 ? boxes[i - 1]!.y + boxes[i - 1]!.height / 2 : -Infinity;
        const bottom = i < boxes.length ? boxes[i]!.y - boxes[i]!.height / 2 : Infinity;
        const crowd = passages.filter((y) => y > top && y < bottom).length * gaps.passages;
        const from = top + gaps.boxes + height / 2 + crowd / 2;
        const to = bottom - gaps.boxes - height / 2 - crowd / 2;
        const y = from <= to ? Math.min(Math.max(wish, from), to) : (from + to) / 2;
        const pushed = Math.max(0, from - to) * PUSH_COST * boxes.length;
        const cost = Math.abs(y - wish) + pushed;
        if (cost < least) {
            least = cost;
            best = y;
        }
    }
    return best;
}

function wishFor(mesh: Mesh, v: number, y: (number | undefined)[]): number {
    const near: number[] = [];
    for (const e of mesh.edges) {
        const other = e.from === v ? e.to : e.to === v ? e.from : -1;
        if (other >= 0 && y[other] !== undefined) near.push(y[other]!);
    }
    if (near.length > 0) return near.reduce((sum, at) => sum + at, 0) / near.length;
    const bottom = y.reduce<number>((most, at) => Math.max(most, at ?? -Infinity), -Infinity);
    return Number.isFinite(bottom) ? bottom + 100 : 0;
}

/** Heights of a link's passages: the old ones where they fit, else on the way between its ends. */
function passageHeights(chart: Chart, id: number, old: Picture): boolean[] {
    const e = chart.mesh.edges[id]!;
    const { boxes } = chart.mesh;
    const before = old.routes.get(linkKey(boxes[e.from]!.id, boxes[e.to]!.id));
    const items = chart.passages[id]!;
    return items.map((p, i) => {
        const kept = before?.passages.find((passage) => passage.rank === chart.rank[p]);
        const share = (i + 1) / (items.length + 1);
        chart.y[p] = kept?.y ?? chart.y[e.from]! * (1 - share) + chart.y[e.to]! * share;
        return kept !== undefined;
    });
}

function settleColumns(chart: Chart, hold: number[]): void {
    for (const row of rowsOf(chart).rows) {
        row.sort((a, b) => chart.y[a]! - chart.y[b]! || a - b);
        const wishes = row.map((item) => ({ item, y: chart.y[item]!, weight: hold[item]! }));
        const heights = settle(wishes, (a, b) => gapBetween(chart, a, b));
        row.forEach((item, i) => (chart.y[item] = heights[i]!));
    }
}

export function layOutOnto(old: Picture, mesh: Mesh): Picture {
    const known = (v: number) => old.boxes.has(mesh.boxes[v]!.id);
    const rank = mesh.boxes.map((box) => old.boxes.get(box.id)?.rank);
    const y = mesh.boxes.map((box) => old.boxes.get(box.id)?.y);
    const placed: number[] = [];
    for (const v of arrivals(mesh, known)) {
        rank[v] = rankFor(mesh, v, rank);
        const column = columnAt(rank[v]!, mesh, rank, old);
        for (const other of placed)
            if (rank[other] === rank[v])
                column.boxes.push({ y: y[other]!, height: mesh.boxes[other]!.height });
        column.boxes.sort((a, b) => a.y - b.y);
        y[v] = findRoom(column, old.gaps, wishFor(mesh, v, y), mesh.boxes[v]!.height);
        placed.push(v);
    }
    const chart = chartOf(mesh, rank as number[], old.gaps);
    y.forEach((at, v) => (chart.y[v] = at!));
    const hold = chart.rank.map((_, item): number =>
        isBox(chart, item) && known(item) ? HOLD_OLD_BOX : HOLD_NEW,
    );
    chart.passages.forEach((items, id) =>
        passageHeights(chart, id, old).forEach((isOld, i) => {
            if (isOld) hold[items[i]!] = HOLD_OLD_PASSAGE;
        }),
    );
    settleColumns(chart, hold);
    return pictureOf(chart, old.pitch, Math.max(old.boxWidth, ...mesh.boxes.map((b) => b.width)));
}
