// paint.ts - draws the lines, their arrows and their labels on the canvas.
//
// Only a picture: everything that can be focused or read out is DOM (the cards) or stands in the
// table and the panel. Failing lines are drawn last, on top. Colours come from the style sheet, so
// themes and forced colours need no code here.
import type { Curve } from "./geometry.ts";
import { type Label, labelFontPx, LOCK_WIDTH, PADDING } from "./labels.ts";
import { lineStyle, type Lock, type Tone, toneOf } from "./style.ts";
import { type Camera, type Rect, type Size, visible } from "./view.ts";

export type Palette = Record<
    "paper" | "ok" | "warn" | "bad" | "warnText" | "muted" | "select",
    string
>;

export interface Scene {
    curves: Curve[];
    labels: Label[];
    camera: Camera;
    size: Size;
    palette: Palette;
    font: string; // family
    isFaded: (curve: Curve) => boolean;
    isSelected: (curve: Curve) => boolean;
    isHovered: (curve: Curve) => boolean;
}

const ORDER: Record<Tone, number> = { idle: 0, ok: 1, warn: 2, bad: 3 };
const FADED = 0.16;

export function readPalette(element: Element): Palette {
    const style = getComputedStyle(element);
    const read = (name: string) => style.getPropertyValue(name).trim();
    return {
        paper: read("--paper"),
        ok: read("--ok"),
        warn: read("--warn"),
        bad: read("--bad"),
        warnText: read("--warn-text"),
        muted: read("--muted"),
        select: read("--select"),
    };
}

function colour(tone: Tone, palette: Palette): string {
    return tone === "idle" ? palette.ok : palette[tone];
}

function outside(bounds: Rect, view: Rect, margin: number): boolean {
    return (
        bounds.right < view.left - margin ||
        bounds.left > view.right + margin ||
        bounds.bottom < view.top - margin ||
        bounds.top > view.bottom + margin
    );
}

/** Lines get thinner with the map, but slower than it, so a far view still shows them. */
function scaleOf(zoom: number): number {
    return 1 / Math.sqrt(Math.min(1, zoom));
}

function arrow(context: CanvasRenderingContext2D, curve: Curve, width: number, scale: number) {
    const length = (6.5 + width * 1.3) * scale;
    const half = (3.2 + width * 0.75) * scale;
    const { x, y } = curve.end;
    const back = x - curve.heading * length;
    context.beginPath();
    if (curve.line.edge.protocol === "tcp") {
        context.rect(Math.min(x, x - curve.heading * half * 2), y - half, half * 2, half * 2);
    } else {
        context.moveTo(x, y);
        context.lineTo(back, y - half);
        context.lineTo(back + (curve.heading * length) / 4, y);
        context.lineTo(back, y + half);
        context.closePath();
    }
    context.fill();
}

function drawCurve(context: CanvasRenderingContext2D, curve: Curve, scene: Scene): void {
    const { tone, width, dash } = lineStyle(curve.line.edge);
    const scale = scaleOf(scene.camera.zoom);
    const isLifted = scene.isSelected(curve) || scene.isHovered(curve);
    context.globalAlpha = scene.isFaded(curve) && !isLifted ? FADED : 1;
    if (isLifted) {
        context.strokeStyle = scene.palette.select;
        context.globalAlpha = scene.isSelected(curve) ? 0.38 : 0.22;
        context.lineWidth = (width + 8) * scale;
        context.setLineDash([]);
        context.stroke(curve.path);
        context.globalAlpha = 1;
    }
    context.strokeStyle = context.fillStyle = colour(tone, scene.palette);
    context.lineWidth = width * scale;
    context.setLineDash(dash.map((piece) => piece * scale));
    context.stroke(curve.path);
    arrow(context, curve, width, scale);
}

/** A padlock of 9 x 11 px whose left edge is at x and whose middle is at y. */
function drawLock(context: CanvasRenderingContext2D, lock: Lock, x: number, y: number): void {
    const [width, height] = [8, 6.5];
    const top = y - 1;
    context.lineWidth = 1.4;
    context.setLineDash([]);
    if (lock === "unknown") {
        context.textAlign = "center";
        context.fillText("?", x + width / 2, y + 0.5);
        return;
    }
    const swing = lock === "open" ? 4 : 0; // an open shackle is swung to the side and raised
    const rise = lock === "open" ? 1.2 : 0;
    context.beginPath();
    context.moveTo(x + 1.6 + swing, top - (lock === "open" ? 1.6 : 0));
    context.lineTo(x + 1.6 + swing, top - 2 - rise);
    context.arc(x + width / 2 + swing, top - 2 - rise, 2.4, Math.PI, 0);
    if (lock !== "open") context.lineTo(x + width - 1.6, top);
    else context.moveTo(x + width / 2 + 1.6, top);
    context.stroke();
    if (lock === "open") {
        context.beginPath();
        context.moveTo(x + 1.6 + swing, top - 2 - rise);
        context.lineTo(x + 1.6 + swing, top);
        context.stroke();
    }
    context.strokeRect(x + 0.7, top + 0.2, width - 1.4, height - 1);
    if (lock === "open") return;
    const filled = lock === "half" ? (height - 1) / 2 : 0;
    context.fillRect(x + 0.7, top + 0.2 + filled, width - 1.4, height - 1 - filled);
}

function drawLabel(context: CanvasRenderingContext2D, label: Label, scene: Scene): void {
    const { camera, palette } = scene;
    const tone = toneOf(label.curve.line.edge);
    const x = label.x * camera.zoom + camera.x;
    const y = label.y * camera.zoom + camera.y;
    const left = x - label.width / 2;
    context.globalAlpha = scene.isFaded(label.curve) ? FADED : 1;
    context.fillStyle = palette.paper;
    context.beginPath();
    context.roundRect(left, y - label.height / 2, label.width, label.height, 5);
    context.fill();
    let textLeft = left + PADDING;
    if (label.lock !== "none") {
        const lockColour = { closed: palette.ok, half: palette.warn, open: palette.bad };
        context.fillStyle = context.strokeStyle =
            label.lock === "unknown" ? palette.muted : lockColour[label.lock];
        context.font = `bold 11px ${scene.font}`;
        drawLock(context, label.lock, textLeft, y);
        textLeft += LOCK_WIDTH;
    }
    const textColour = {
        idle: palette.muted,
        ok: palette.muted,
        warn: palette.warnText,
        bad: palette.bad,
    };
    if (!label.text) return;
    context.fillStyle = textColour[tone];
    context.font = labelFont(scene.font, labelFontPx(camera.zoom), tone !== "ok");
    context.textAlign = "left";
    context.fillText(label.text, textLeft, y + 0.5);
}

export function labelFont(family: string, px: number, isBold: boolean): string {
    return `${isBold ? "600 " : ""}${px}px ${family}`;
}

export function paint(context: CanvasRenderingContext2D, ratio: number, scene: Scene): void {
    const { camera, size } = scene;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    const z = camera.zoom * ratio;
    context.setTransform(z, 0, 0, z, camera.x * ratio, camera.y * ratio);
    const view = visible(camera, size);
    const margin = 12 / camera.zoom;
    const lift = (curve: Curve) => (scene.isSelected(curve) ? 20 : scene.isHovered(curve) ? 10 : 0);
    const order = (curve: Curve) => lift(curve) + ORDER[toneOf(curve.line.edge)];
    const drawn = scene.curves
        .filter((curve) => !outside(curve.bounds, view, margin))
        .map((curve) => ({ curve, at: order(curve) }))
        .sort((a, b) => a.at - b.at);
    for (const { curve } of drawn) drawCurve(context, curve, scene);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.textBaseline = "middle";
    for (const label of scene.labels) drawLabel(context, label, scene);
    context.globalAlpha = 1;
}
