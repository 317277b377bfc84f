// stage.ts - the moving part of the map: camera, pointer and the moment of painting.
//
// Preact draws the cards once a data tick; between ticks panning and zooming must not go through
// it. So the stage owns the camera, moves the layer of cards with one CSS transform and repaints
// the canvas, at most once a frame. Label places depend on the zoom and on the data, not on the
// position, and are kept while the map is only pushed about.
import type { LabelKind } from "../url.ts";
import { boundsOf, type Curve, curveAt, rectOf } from "./geometry.ts";
import { type Label, labelFontPx, placeLabels } from "./labels.ts";
import { labelFont, paint, type Palette, readPalette } from "./paint.ts";
import type { Picture } from "../layout/layout.ts";
import {
    type Camera,
    contains,
    fit,
    type Rect,
    reveal,
    type Size,
    toMap,
    union,
    visible,
    zoomAt,
} from "./view.ts";

export interface StageState {
    picture: Picture;
    curves: Curve[];
    kind: LabelKind;
    selected: string | null; // card or edge
    hoveredEdge: string | null;
    isFaded: (curve: Curve) => boolean;
}

export interface StageEvents {
    onHover(curve: Curve | null): void;
    onPick(curve: Curve | null): void;
    /** The part of the map in sight, a little after it stopped moving; null when far away. */
    onInSight(rect: Rect | null): void;
}

const REACH = 8; // px from a line that still hit it
const CLICK_SLOP = 4; // px a press may move and still be a click
const ZOOM_FAR = 0.5; // below, cards show their name only, larger
const STILL_MS = 120; // without a move the map stands still

export class Stage {
    private camera: Camera = { zoom: 1, x: 0, y: 0 };
    private size: Size = { width: 1, height: 1 };
    private state: StageState | null = null;
    private labels: Label[] | null = null;
    private palette: Palette;
    private frame = 0;
    private settling: number | undefined;
    private isTouched = false; // the reader moved the map: it is theirs now
    private press: { x: number; y: number; camera: Camera; isDrag: boolean } | null = null;
    private readonly context: CanvasRenderingContext2D;
    private readonly stops: (() => void)[] = [];
    private readonly letterWidths = new Map<string, number>(); // at 1 px
    private readonly font: string;

    constructor(
        private readonly host: HTMLElement,
        private readonly canvas: HTMLCanvasElement,
        private readonly layer: HTMLElement,
        private readonly events: StageEvents,
    ) {
        this.context = canvas.getContext("2d")!;
        this.font = getComputedStyle(host).fontFamily;
        this.palette = readPalette(host);
        const observer = new ResizeObserver(() => this.resize());
        observer.observe(host);
        this.stops.push(() => observer.disconnect());
        this.listen("pointerdown", (event) => this.down(event));
        this.listen("pointermove", (event) => this.move(event));
        this.listen("pointerup", (event) => this.up(event));
        this.listen("pointercancel", () => (this.press = null));
        this.listen("pointerleave", () => this.events.onHover(null));
        this.listen("wheel", (event) => this.wheel(event), { passive: false });
        this.resize();
    }

    close(): void {
        cancelAnimationFrame(this.frame);
        clearTimeout(this.settling);
        for (const stop of this.stops) stop();
    }

    /** New data, layout, selection or hover. */
    update(state: StageState): void {
        const isFirst = this.state === null;
        this.state = state;
        this.labels = null;
        if (isFirst || (!this.isTouched && state.selected === null)) this.fitIfHidden(isFirst);
        this.repaint();
    }

    themeChanged(): void {
        this.palette = readPalette(this.host);
        this.repaint();
    }

    fitAll(): void {
        if (!this.state) return;
        this.isTouched = false;
        this.setCamera(fit(boundsOf(this.state.picture, this.state.curves), this.size));
    }

    zoomBy(factor: number): void {
        this.isTouched = true;
        this.setCamera(zoomAt(this.camera, factor, this.size.width / 2, this.size.height / 2));
    }

    /** Moves no more than needed to show the card or the edge. */
    show(id: string): void {
        const box = this.state?.picture.boxes.get(id);
        const curve = this.state?.curves.find((c) => c.line.edge.id === id);
        const ends = box ? [box] : [curve?.line.from, curve?.line.to].map((end) => this.boxOf(end));
        const rects = ends.filter((end) => end !== undefined).map(rectOf);
        if (rects.length > 0) this.setCamera(reveal(this.camera, union(rects), this.size));
    }

    private boxOf(id: string | undefined) {
        return id === undefined ? undefined : this.state?.picture.boxes.get(id);
    }

    private fitIfHidden(always: boolean): void {
        const bounds = boundsOf(this.state!.picture, this.state!.curves);
        if (always || !contains(visible(this.camera, this.size), bounds))
            this.setCamera(fit(bounds, this.size));
    }

    private listen<K extends keyof HTMLElementEventMap>(
        name: K,
        handler: (event: HTMLElementEventMap[K]) => void,
        options?: AddEventListenerOptions,
    ): void {
        this.host.addEventListener(name, handler, options);
        this.stops.push(() => this.host.removeEventListener(name, handler, options));
    }

    private resize(): void {
        const { clientWidth: width, clientHeight: height } = this.host;
        const ratio = devicePixelRatio || 1;
        this.size = { width, height };
        this.canvas.width = Math.round(width * ratio);
        this.canvas.height = Math.round(height * ratio);
        // The panel takes room away: then the picture stands still and only what is selected must
        // stay in sight. It comes back as it was when the panel closes.
        const selected = this.state?.selected ?? null;
        if (selected !== null) this.show(selected);
        else if (this.state && !this.isTouched) this.fitIfHidden(true);
        this.repaint();
    }

    private setCamera(camera: Camera): void {
        if (camera.zoom !== this.camera.zoom) this.labels = null;
        this.camera = camera;
        this.repaint();
        clearTimeout(this.settling);
        this.settling = window.setTimeout(() => {
            const isFar = this.camera.zoom < ZOOM_FAR;
            this.events.onInSight(isFar ? null : visible(this.camera, this.size));
        }, STILL_MS);
    }

    private repaint(): void {
        if (this.frame === 0) this.frame = requestAnimationFrame(() => this.draw());
    }

    /** By letters: texts are ever new, their letters are not, and measuring is slow. */
    private textWidth(text: string, isBold: boolean): number {
        const px = labelFontPx(this.camera.zoom);
        let sum = 0;
        for (const letter of text) {
            const key = isBold ? `${letter}b` : letter;
            let width = this.letterWidths.get(key);
            if (width === undefined) {
                this.context.font = labelFont(this.font, 100, isBold);
                width = this.context.measureText(letter).width / 100;
                this.letterWidths.set(key, width);
            }
            sum += width * px;
        }
        return sum;
    }

    private draw(): void {
        this.frame = 0;
        const { camera, state } = this;
        if (!state) return;
        const isSelected = (curve: Curve) => curve.line.edge.id === state.selected;
        const isHovered = (curve: Curve) => curve.line.edge.id === state.hoveredEdge;
        this.labels ??= placeLabels(state.curves, {
            camera,
            kind: state.kind,
            cards: [...state.picture.boxes.values()].map(rectOf),
            textWidth: (text, isBold) => this.textWidth(text, isBold),
            isAsked: (curve) => isSelected(curve) || isHovered(curve),
        });
        const { x, y, zoom } = camera;
        this.layer.style.transform = `translate(${x}px, ${y}px) scale(${zoom})`;
        this.layer.classList.toggle("far", zoom < ZOOM_FAR);
        paint(this.context, devicePixelRatio || 1, {
            curves: state.curves,
            labels: this.labels,
            camera,
            size: this.size,
            palette: this.palette,
            font: this.font,
            isFaded: state.isFaded,
            isSelected,
            isHovered,
        });
        this.host.dataset["drawn"] = String(state.curves.length);
    }

    private place(event: MouseEvent): { x: number; y: number } {
        const box = this.host.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    private curveUnder(event: MouseEvent): Curve | null {
        if (!this.state) return null;
        const { x, y } = this.place(event);
        return curveAt(this.state.curves, toMap(this.camera, x, y), REACH / this.camera.zoom);
    }

    private isOnCard(event: Event): boolean {
        return (event.target as Element).closest("button, select") !== null;
    }

    private down(event: PointerEvent): void {
        if (event.button !== 0 || this.isOnCard(event)) return;
        const { x, y } = this.place(event);
        this.press = { x, y, camera: this.camera, isDrag: false };
        this.host.setPointerCapture(event.pointerId);
    }

    private move(event: PointerEvent): void {
        if (!this.press) {
            this.events.onHover(this.isOnCard(event) ? null : this.curveUnder(event));
            return;
        }
        const { x, y } = this.place(event);
        const [dx, dy] = [x - this.press.x, y - this.press.y];
        if (!this.press.isDrag && Math.hypot(dx, dy) < CLICK_SLOP) return;
        this.press.isDrag = true;
        this.isTouched = true;
        const { camera } = this.press;
        this.setCamera({ zoom: camera.zoom, x: camera.x + dx, y: camera.y + dy });
    }

    private up(event: PointerEvent): void {
        const press = this.press;
        this.press = null;
        if (press && !press.isDrag) this.events.onPick(this.curveUnder(event));
    }

    private wheel(event: WheelEvent): void {
        event.preventDefault();
        const { x, y } = this.place(event);
        this.isTouched = true;
        if (event.shiftKey) {
            const { camera } = this;
            const [dx, dy] = [event.deltaX || event.deltaY, event.deltaX ? event.deltaY : 0];
            this.setCamera({ ...camera, x: camera.x - dx, y: camera.y - dy });
        } else {
            this.setCamera(zoomAt(this.camera, Math.exp(-event.deltaY * 0.0015), x, y));
        }
    }
}
