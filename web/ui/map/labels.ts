// labels.ts - where the words of a line stand.
//
// Greedy, the most important line first: a label tries places along its curve, from the end where
// fewer lines meet, at least 14 px from the arrow; the first place that covers neither a card nor
// another label is taken. A label that finds none tries a shorter text, then stays away: its line
// still has colour and dash, and its numbers stand in the table. Sizes are screen pixels, because
// text must stay readable when the map is small.
import type { LabelKind } from "../url.ts";
import { type Curve, pointAt } from "./geometry.ts";
import { labelTexts, type Lock, lockOf, toneOf } from "./style.ts";
import { type Camera, overlaps, type Rect } from "./view.ts";

export interface Label {
    curve: Curve;
    text: string;
    lock: Lock;
    x: number; // centre, in map units
    y: number;
    width: number; // on the screen
    height: number;
}

export interface LabelOptions {
    camera: Camera;
    kind: LabelKind;
    cards: Rect[]; // in map units
    textWidth: (text: string, isBold: boolean) => number;
    isAsked: (curve: Curve) => boolean; // hovered or selected: gets its label first, lock included
}

const LABEL_HEIGHT = 16;
export const LOCK_WIDTH = 13;
export const PADDING = 4;
const FROM_ARROW = 16;
/** A label that leaves less than this of its line in sight gives way to a shorter text: the longest
 * text gives way first. */
const LINE_SEEN = [20, 6];
const PLACES = 14;
/** Below these the words of healthy lines, and any locks, would be larger than what they are at. */
const ZOOM_ALL_LABELS = 0.45;
const ZOOM_LOCKS = 0.2;
/** More labels than this are a grey carpet, and each costs a search. */
const LABELS_MAX = 400;
const IMPORTANCE = { bad: 3, warn: 2, ok: 1, idle: 0 };

/** Labels shrink a little with the map, but never below what can be read. */
export function labelFontPx(zoom: number): number {
    return 11 * Math.min(1, Math.max(0.87, zoom * 1.15));
}

function labelHeight(zoom: number): number {
    return (LABEL_HEIGHT * labelFontPx(zoom)) / 11;
}

/** Ways along the curve to try, in order; in map units. */
function places(curve: Curve, halfWidth: number, fromArrow: number): number[] {
    const total = curve.lengths.at(-1)!;
    const nearest = fromArrow + halfWidth;
    const room = total - 2 * nearest;
    if (room < 0) return [total / 2];
    const fromEnd = curve.crowdAtEnd <= curve.crowdAtStart;
    const list: number[] = [];
    for (let i = 0; i < PLACES; i++) {
        const way = nearest + (room * i) / (PLACES - 1);
        list.push(fromEnd ? total - way : way);
    }
    return list;
}

function isWanted(curve: Curve, options: LabelOptions): boolean {
    if (options.isAsked(curve)) return true;
    const { zoom } = options.camera;
    const tone = toneOf(curve.line.edge);
    if (tone === "bad" || tone === "warn") return true;
    const { state } = curve.line.edge.tls;
    if (state !== "mutual" && state !== "unknown" && zoom >= ZOOM_LOCKS) return true;
    return tone === "ok" && zoom >= ZOOM_ALL_LABELS;
}

/** The texts to try; "" is a lock alone. */
function textsFor(curve: Curve, options: LabelOptions): string[] {
    const { edge } = curve.line;
    const tone = toneOf(edge);
    const isFar = options.camera.zoom < ZOOM_ALL_LABELS && !options.isAsked(curve);
    const lockAlone = ["half", "open"].includes(lockOf(edge, false)) ? [""] : [];
    if (isFar && (tone === "ok" || tone === "idle")) return lockAlone;
    return [...labelTexts(edge, options.kind), ...lockAlone];
}

class Taken {
    private readonly cells = new Map<string, Rect[]>();
    private static readonly CELL = 200;

    private *keys(rect: Rect): Generator<string> {
        const cell = Taken.CELL;
        for (let x = Math.floor(rect.left / cell); x * cell <= rect.right; x++)
            for (let y = Math.floor(rect.top / cell); y * cell <= rect.bottom; y++)
                yield `${x} ${y}`;
    }

    add(rect: Rect): void {
        for (const key of this.keys(rect)) {
            const list = this.cells.get(key);
            if (list) list.push(rect);
            else this.cells.set(key, [rect]);
        }
    }

    isFree(rect: Rect): boolean {
        for (const key of this.keys(rect))
            if (this.cells.get(key)?.some((other) => overlaps(rect, other))) return false;
        return true;
    }
}

function tryPlace(
    curve: Curve,
    text: string,
    choice: { at: number; isLast: boolean },
    taken: Taken,
    options: LabelOptions,
): Label | null {
    const { zoom } = options.camera;
    const lock = lockOf(curve.line.edge, options.isAsked(curve) || options.kind === "tls");
    const isBold = toneOf(curve.line.edge) !== "ok";
    const textWidth = text ? options.textWidth(text, isBold) : -2;
    const width = textWidth + 2 * PADDING + (lock === "none" ? 0 : LOCK_WIDTH);
    const extent = (curve.bounds.right - curve.bounds.left) * zoom;
    if (!choice.isLast && extent - width < (LINE_SEEN[choice.at] ?? 0)) return null;
    const height = labelHeight(zoom);
    const half = { x: width / 2 / zoom, y: height / 2 / zoom };
    const ways = places(curve, half.x, FROM_ARROW / zoom);
    const mustShow = choice.isLast && options.isAsked(curve);
    for (const [i, way] of ways.entries()) {
        const { x, y } = pointAt(curve, way);
        const rect = { left: x - half.x, right: x + half.x, top: y - half.y, bottom: y + half.y };
        if (taken.isFree(rect) || (mustShow && i === ways.length - 1)) {
            taken.add(rect);
            return { curve, text, lock, x, y, width, height };
        }
    }
    return null;
}

export function placeLabels(curves: Curve[], options: LabelOptions): Label[] {
    const taken = new Taken();
    for (const card of options.cards) taken.add(card);
    const rank = (curve: Curve) =>
        (options.isAsked(curve) ? 10 : 0) + IMPORTANCE[toneOf(curve.line.edge)];
    const wanted = curves
        .filter((curve) => isWanted(curve, options))
        .sort((a, b) => rank(b) - rank(a) || b.line.edge.rate - a.line.edge.rate)
        .slice(0, LABELS_MAX);
    const labels: Label[] = [];
    for (const curve of wanted) {
        const texts = textsFor(curve, options);
        for (const [i, text] of texts.entries()) {
            const choice = { at: i, isLast: i === texts.length - 1 };
            const label = tryPlace(curve, text, choice, taken, options);
            if (!label) continue;
            labels.push(label);
            break;
        }
    }
    return labels;
}
