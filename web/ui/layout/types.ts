// types.ts - what goes into a layout and what comes out.
//
// Lengths are map units: at zoom 1 a unit is a CSS pixel. x grows to the right, along the calls;
// y grows downwards. Nothing here knows of the screen, of services or of traffic.

export interface Box {
    id: string;
    width: number;
    height: number;
}

/** A line to be routed; several calls between the same two boxes share one. */
export interface Link {
    from: string;
    to: string;
}

export interface PlacedBox extends Box {
    x: number; // centre
    y: number; // centre
    rank: number; // column; may be negative after boxes arrived on the left
}

/** Where a link passes a column it does not end in: straight through, at height y. */
export interface Passage {
    rank: number;
    y: number;
}

export interface Route {
    /** Columns passed, from the source's side to the destination's. */
    passages: Passage[];
    /** "forward" leaves at the right and enters at the left; "back" the other way round; "side"
     * joins two boxes of one column, "self" a box to itself: both leave and enter at the right. */
    shape: "forward" | "back" | "side" | "self";
}

export interface Picture {
    boxes: Map<string, PlacedBox>;
    routes: Map<string, Route>; // by linkKey
    pitch: number; // distance of two columns' centres
    boxWidth: number; // widest box: passages run straight across this width
    gaps: Gaps;
}

export function linkKey(from: string, to: string): string {
    return `${from}\n${to}`;
}

/** Smallest gaps between neighbours of a column. */
export interface Gaps {
    boxes: number;
    boxPassage: number;
    passages: number;
}
export const GAPS_AIRY: Gaps = { boxes: 28, boxPassage: 17, passages: 11 };
export const GAPS_DENSE: Gaps = { boxes: 16, boxPassage: 9, passages: 5 };
/** With more boxes than this a picture is dense, or it would be all height. */
export const BOXES_AIRY = 80;
/** Gap between two columns: room for a label and for the lines to turn. */
export const GAP_COLUMNS_MIN = 142;
export const GAP_COLUMNS_MAX = 360;

/** Grouped index lists: neighbours of each of n items. */
export type Adjacency = number[][];

export function adjacency(n: number): Adjacency {
    return Array.from({ length: n }, () => []);
}
