// walk.ts - where the arrow keys lead. Pure.
//
// Right follows a call to the callee, left goes back to a caller, up and down stay in the column.
// Of several the one that is nearest in height is taken, so that the way back is the way out.
import type { Picture, PlacedBox } from "../layout/layout.ts";
import { type Line, type Mesh } from "../mesh.ts";
import { toneOf } from "./style.ts";

export type Direction = "left" | "right" | "up" | "down";

function nearest(from: PlacedBox, boxes: PlacedBox[]): string | null {
    let best: PlacedBox | null = null;
    for (const box of boxes)
        if (!best || Math.abs(box.y - from.y) < Math.abs(best.y - from.y)) best = box;
    return best?.id ?? null;
}

export function step(mesh: Mesh, picture: Picture, id: string, way: Direction): string | null {
    const from = picture.boxes.get(id);
    if (!from) return null;
    const boxes = [...picture.boxes.values()];
    if (way === "up" || way === "down") {
        const sign = way === "up" ? -1 : 1;
        const column = boxes.filter((box) => box.rank === from.rank);
        return nearest(
            from,
            column.filter((box) => (box.y - from.y) * sign > 0),
        );
    }
    const next = way === "right" ? mesh.out.get(id) : mesh.into.get(id);
    const linked = new Set(next?.map((line) => (way === "right" ? line.to : line.from)));
    return nearest(
        from,
        boxes.filter((box) => linked.has(box.id) && box.id !== id),
    );
}

/** Lines of a card in the order in which "e" visits them: callees from the top, then callers. */
export function linesOf(mesh: Mesh, id: string): Line[] {
    const callers = (mesh.into.get(id) ?? []).filter((line) => line.from !== id);
    return [...(mesh.out.get(id) ?? []), ...callers];
}

/** Lines that need a look, the worst first. */
export function unhealthy(mesh: Mesh): Line[] {
    const rank = { bad: 0, warn: 1, ok: 2, idle: 3 };
    return mesh.lines
        .filter((line) => rank[toneOf(line.edge)] < 2)
        .sort(
            (a, b) => rank[toneOf(a.edge)] - rank[toneOf(b.edge)] || b.edge.failures - a.edge.failures,
        );
}
