// layout.ts - the layout of the map: from a mesh, and the picture before, to a picture.
//
// Pure and deterministic: equal arguments give equal pictures, on every machine.
import { meshOf } from "./chart.ts";
import { layOutOnto } from "./grow.ts";
import { layOutAfresh } from "./scratch.ts";
import type { Box, Link, Picture } from "./types.ts";

/** Share of boxes that came or went since the picture was made from nothing; 0 to 1. */
export function churn(made: Iterable<string>, now: Iterable<string>): number {
    const before = new Set(made);
    const after = new Set(now);
    let same = 0;
    for (const id of after) if (before.has(id)) same++;
    const all = before.size + after.size - same;
    return all > 0 ? 1 - same / all : 0;
}

/**
 * With a picture from before, boxes that stayed keep their place. Where fewer than half of the
 * boxes are old there is nothing worth keeping, and the picture is made from nothing.
 */
export function layOut(boxes: Box[], links: Link[], before?: Picture): Picture {
    const mesh = meshOf(boxes, links);
    const old = before ? boxes.filter((box) => before.boxes.has(box.id)).length : 0;
    return before && old * 2 > boxes.length ? layOutOnto(before, mesh) : layOutAfresh(mesh);
}

export type { Box, Link, Picture, PlacedBox, Route } from "./types.ts";
export { linkKey } from "./types.ts";
