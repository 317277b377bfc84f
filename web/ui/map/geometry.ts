// geometry.ts - from the layout's boxes and routes to curves that can be drawn, labelled and hit.
//
// A line leaves its card on the right, level with its row, and enters the next on the left. The
// ends of lines that share a card or a row are spread over its height in the order in which their
// other ends lie, so they fan out without crossing. Between columns a line is one cubic curve with
// level ends; through a column it runs straight.
import { linkKey, type Picture, type PlacedBox } from "../layout/layout.ts";
import { CARD_HEAD_HEIGHT, CARD_ROW_HEIGHT, groupBy, type Line, type Mesh } from "../mesh.ts";
import { type Rect, union } from "./view.ts";

export interface Point {
    x: number;
    y: number;
}

export interface Curve {
    line: Line;
    path: Path2D;
    points: Point[]; // along the curve, close enough to be joined by straight pieces
    lengths: number[]; // way from the start to each point
    bounds: Rect;
    end: Point; // where the arrow's point is
    heading: number; // 1 rightwards, -1 leftwards
    crowdAtStart: number; // lines at the source's card
    crowdAtEnd: number;
}

interface Port {
    line: Line;
    side: "left" | "right";
    row: number;
    otherY: number; // where the line comes from or goes to: orders the ports
    y: number;
}

const STEPS = 14; // straight pieces a cubic is cut into
const SPREAD = 11; // wanted distance of two ports
const LOOP = 46;

function rowCentre(box: PlacedBox, row: number): number {
    const top = box.y - box.height / 2;
    return row < 0
        ? top + CARD_HEAD_HEIGHT / 2
        : top + CARD_HEAD_HEIGHT + (row + 0.5) * CARD_ROW_HEIGHT;
}

function sides(shape: string): ["left" | "right", "left" | "right"] {
    if (shape === "forward") return ["right", "left"];
    return shape === "back" ? ["left", "right"] : ["right", "right"];
}

/** Port heights, by line and end: spread around the row each belongs to. */
function portsOf(mesh: Mesh, picture: Picture) {
    const ports: { card: string; port: Port }[] = [];
    const byLine = new Map<Line, { start: Port; end: Port }>();
    for (const line of mesh.lines) {
        const from = picture.boxes.get(line.from);
        const to = picture.boxes.get(line.to);
        const route = picture.routes.get(linkKey(line.from, line.to));
        if (!from || !to || !route) continue;
        const [leave, enter] = sides(route.shape);
        const first = route.passages[0]?.y ?? rowCentre(to, line.toRow);
        const last = route.passages.at(-1)?.y ?? rowCentre(from, line.fromRow);
        const start: Port = { line, side: leave, row: line.fromRow, otherY: first, y: 0 };
        const end: Port = { line, side: enter, row: line.toRow, otherY: last, y: 0 };
        byLine.set(line, { start, end });
        ports.push({ card: line.from, port: start }, { card: line.to, port: end });
    }
    const shared = groupBy(ports, ({ card, port }) => `${card}\n${port.side}\n${port.row}`);
    for (const group of shared.values())
        spread(
            picture.boxes.get(group[0]!.card)!,
            group.map(({ port }) => port),
        );
    return byLine;
}

/** Ports of one side and row, in the order of their other ends. */
function spread(box: PlacedBox, ports: Port[]): void {
    const row = ports[0]!.row;
    const room = row < 0 ? CARD_HEAD_HEIGHT - 14 : CARD_ROW_HEIGHT - 8;
    const step = Math.min(SPREAD, room / Math.max(1, ports.length - 1));
    ports.sort((a, b) => a.otherY - b.otherY || (a.line.name < b.line.name ? -1 : 1));
    ports.forEach((port, i) => {
        port.y = rowCentre(box, row) + (i - (ports.length - 1) / 2) * step;
    });
}

class Pen {
    readonly path = new Path2D();
    readonly points: Point[] = [];

    constructor(private at: Point) {
        this.path.moveTo(at.x, at.y);
        this.points.push(at);
    }

    straight(to: Point): void {
        if (to.x === this.at.x && to.y === this.at.y) return;
        this.path.lineTo(to.x, to.y);
        for (let i = 1; i <= 4; i++)
            this.points.push({
                x: this.at.x + ((to.x - this.at.x) * i) / 4,
                y: this.at.y + ((to.y - this.at.y) * i) / 4,
            });
        this.at = to;
    }

    cubic(a: Point, b: Point, to: Point): void {
        const from = this.at;
        this.path.bezierCurveTo(a.x, a.y, b.x, b.y, to.x, to.y);
        for (let i = 1; i <= STEPS; i++) {
            const t = i / STEPS;
            const [p, q, r, s] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3];
            this.points.push({
                x: p * from.x + q * a.x + r * b.x + s * to.x,
                y: p * from.y + q * a.y + r * b.y + s * to.y,
            });
        }
        this.at = to;
    }

    /** A level start, a level end, an S between. */
    swing(to: Point): void {
        const half = (to.x - this.at.x) / 2;
        this.cubic({ x: this.at.x + half, y: this.at.y }, { x: to.x - half, y: to.y }, to);
    }

    /** Out to the right and back: joins two places of one side. */
    loop(to: Point): void {
        const reach = LOOP + Math.abs(to.y - this.at.y) / 6;
        const x = Math.max(this.at.x, to.x) + reach;
        this.cubic({ x, y: this.at.y }, { x, y: to.y }, to);
    }
}

function edgeOf(box: PlacedBox, side: "left" | "right"): number {
    return box.x + (side === "right" ? box.width / 2 : -box.width / 2);
}

/** Several lines of one link pass a column side by side; this is the shift of each. */
function laneShift(mesh: Mesh): Map<Line, number> {
    const lanes = groupBy(mesh.lines, (line) => linkKey(line.from, line.to));
    const shift = new Map<Line, number>();
    for (const lines of lanes.values()) {
        lines.sort((a, b) => a.fromRow - b.fromRow || a.toRow - b.toRow);
        lines.forEach((line, i) => shift.set(line, (i - (lines.length - 1) / 2) * 7));
    }
    return shift;
}

function drawLine(line: Line, picture: Picture, start: Port, end: Port, shift: number): Pen {
    const from = picture.boxes.get(line.from)!;
    const to = picture.boxes.get(line.to)!;
    const route = picture.routes.get(linkKey(line.from, line.to))!;
    const pen = new Pen({ x: edgeOf(from, start.side), y: start.y });
    const target = { x: edgeOf(to, end.side), y: end.y };
    if (route.shape === "side" || route.shape === "self") {
        pen.loop(route.shape === "self" ? { x: target.x, y: target.y + 12 } : target);
        return pen;
    }
    const half = ((route.shape === "forward" ? 1 : -1) * picture.boxWidth) / 2;
    for (const passage of route.passages) {
        const x = passage.rank * picture.pitch;
        const y = passage.y + shift;
        pen.swing({ x: x - half, y });
        pen.straight({ x: x + half, y });
    }
    pen.swing(target);
    return pen;
}

function measured(line: Line, pen: Pen, crowds: [number, number]): Curve {
    const { points } = pen;
    const lengths = [0];
    const bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    points.forEach((p, i) => {
        if (i > 0)
            lengths.push(
                lengths[i - 1]! + Math.hypot(p.x - points[i - 1]!.x, p.y - points[i - 1]!.y),
            );
        bounds.left = Math.min(bounds.left, p.x);
        bounds.top = Math.min(bounds.top, p.y);
        bounds.right = Math.max(bounds.right, p.x);
        bounds.bottom = Math.max(bounds.bottom, p.y);
    });
    const end = points.at(-1)!;
    return {
        line,
        path: pen.path,
        points,
        lengths,
        bounds,
        end,
        heading: end.x >= points.at(-2)!.x ? 1 : -1,
        crowdAtStart: crowds[0],
        crowdAtEnd: crowds[1],
    };
}

export function curvesOf(mesh: Mesh, picture: Picture): Curve[] {
    const ports = portsOf(mesh, picture);
    const shifts = laneShift(mesh);
    const crowd = new Map<string, number>();
    const bump = (key: string) => crowd.set(key, (crowd.get(key) ?? 0) + 1);
    for (const [line, { start, end }] of ports) {
        bump(`${line.from}\n${start.side}`);
        bump(`${line.to}\n${end.side}`);
    }
    const curves: Curve[] = [];
    for (const [line, { start, end }] of ports) {
        const pen = drawLine(line, picture, start, end, shifts.get(line)!);
        const crowds: [number, number] = [
            crowd.get(`${line.from}\n${start.side}`)!,
            crowd.get(`${line.to}\n${end.side}`)!,
        ];
        curves.push(measured(line, pen, crowds));
    }
    return curves;
}

/** The place a given way along the curve. */
export function pointAt(curve: Curve, way: number): Point {
    const { points, lengths } = curve;
    const total = lengths.at(-1)!;
    const wanted = Math.min(Math.max(0, way), total);
    let i = 1;
    while (i < points.length - 1 && lengths[i]! < wanted) i++;
    const [a, b] = [points[i - 1]!, points[i]!];
    const piece = lengths[i]! - lengths[i - 1]!;
    const t = piece > 0 ? (wanted - lengths[i - 1]!) / piece : 0;
    return { x: a.x + (b.x - a.x) * t, y: a.y + (b.y - a.y) * t };
}

function distanceToPiece(p: Point, a: Point, b: Point): number {
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const length2 = dx * dx + dy * dy;
    const t =
        length2 > 0 ? Math.min(1, Math.max(0, ((p.x - a.x) * dx + (p.y - a.y) * dy) / length2)) : 0;
    return Math.hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

/** The curve nearest to a place, not farther than reach; null when there is none. */
export function curveAt(curves: Curve[], at: Point, reach: number): Curve | null {
    let best: Curve | null = null;
    let least = reach;
    for (const curve of curves) {
        const { bounds, points } = curve;
        if (at.x < bounds.left - least || at.x > bounds.right + least) continue;
        if (at.y < bounds.top - least || at.y > bounds.bottom + least) continue;
        for (let i = 1; i < points.length; i++) {
            const away = distanceToPiece(at, points[i - 1]!, points[i]!);
            if (away < least) {
                least = away;
                best = curve;
            }
        }
    }
    return best;
}

export function boundsOf(picture: Picture, curves: Curve[]): Rect {
    if (picture.boxes.size === 0) return { left: 0, top: 0, right: 1, bottom: 1 };
    return union([
        ...[...picture.boxes.values()].map(rectOf),
        ...curves.map((curve) => curve.bounds),
    ]);
}

export function rectOf(box: PlacedBox): Rect {
    return {
        left: box.x - box.width / 2,
        top: box.y - box.height / 2,
        right: box.x + box.width / 2,
        bottom: box.y + box.height / 2,
    };
}
