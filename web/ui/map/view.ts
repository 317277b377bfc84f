// view.ts - which part of the map is on the screen: pan and zoom as plain arithmetic.
//
// screen = map * zoom + (x, y), in CSS pixels from the map's top left corner.

export interface Camera {
    zoom: number;
    x: number;
    y: number;
}

export interface Rect {
    left: number;
    top: number;
    right: number;
    bottom: number;
}

export interface Size {
    width: number;
    height: number;
}

export const ZOOM_MIN = 0.015;
export const ZOOM_MAX = 3;
/** Fitting never blows a small mesh up beyond the size at which it was designed. */
const ZOOM_FIT_MAX = 1.15;
const MARGIN = 26;
/** The legend and the buttons lie over the lower edge. */
const MARGIN_BELOW = 44;

export function clampZoom(zoom: number): number {
    return Math.min(ZOOM_MAX, Math.max(ZOOM_MIN, zoom));
}

export function fit(bounds: Rect, size: Size): Camera {
    const width = Math.max(1, bounds.right - bounds.left);
    const height = Math.max(1, bounds.bottom - bounds.top);
    const free = size.height - MARGIN - MARGIN_BELOW;
    const room = Math.min((size.width - 2 * MARGIN) / width, free / height);
    const zoom = clampZoom(Math.min(ZOOM_FIT_MAX, room));
    return {
        zoom,
        x: size.width / 2 - ((bounds.left + bounds.right) / 2) * zoom,
        y: MARGIN + free / 2 - ((bounds.top + bounds.bottom) / 2) * zoom,
    };
}

/** Zooms so that what is under the screen point stays there. */
export function zoomAt(camera: Camera, factor: number, x: number, y: number): Camera {
    const zoom = clampZoom(camera.zoom * factor);
    const scale = zoom / camera.zoom;
    return { zoom, x: x - (x - camera.x) * scale, y: y - (y - camera.y) * scale };
}

export function toMap(camera: Camera, x: number, y: number): { x: number; y: number } {
    return { x: (x - camera.x) / camera.zoom, y: (y - camera.y) / camera.zoom };
}

/** The part of the map that is on the screen. */
export function visible(camera: Camera, size: Size): Rect {
    const a = toMap(camera, 0, 0);
    const b = toMap(camera, size.width, size.height);
    return { left: a.x, top: a.y, right: b.x, bottom: b.y };
}

export function overlaps(a: Rect, b: Rect): boolean {
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

export function contains(outer: Rect, inner: Rect): boolean {
    return (
        inner.left >= outer.left &&
        inner.top >= outer.top &&
        inner.right <= outer.right &&
        inner.bottom <= outer.bottom
    );
}

export function union(rects: Rect[]): Rect {
    return {
        left: Math.min(...rects.map((rect) => rect.left)),
        top: Math.min(...rects.map((rect) => rect.top)),
        right: Math.max(...rects.map((rect) => rect.right)),
        bottom: Math.max(...rects.map((rect) => rect.bottom)),
    };
}

/** The smallest move after which the rectangle is on the screen. */
export function reveal(camera: Camera, rect: Rect, size: Size): Camera {
    const left = rect.left * camera.zoom + camera.x;
    const right = rect.right * camera.zoom + camera.x;
    const top = rect.top * camera.zoom + camera.y;
    const bottom = rect.bottom * camera.zoom + camera.y;
    const shift = (from: number, to: number, room: number) => {
        if (to - from > room - 2 * MARGIN) return room / 2 - (from + to) / 2;
        if (from < MARGIN) return MARGIN - from;
        return to > room - MARGIN ? room - MARGIN - to : 0;
    };
    return {
        zoom: camera.zoom,
        x: camera.x + shift(left, right, size.width),
        y: camera.y + shift(top, bottom, size.height),
    };
}
