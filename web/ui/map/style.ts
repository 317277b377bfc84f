// style.ts - how a line looks: the one place that turns an edge into width, colour, dash and words.
//
// Grey is healthy; colour is only where somebody must look. Every state has a colour, a dash and a
// word, so none of the three has to be seen. See docs/ui.md.
import type { GraphEdge } from "../api.ts";
import * as format from "../format.ts";
import { mutualShare } from "../mesh.ts";
import type { LabelKind } from "../url.ts";

export type Tone = "idle" | "ok" | "warn" | "bad";
export type Lock = "none" | "closed" | "half" | "open" | "unknown";

export interface LineStyle {
    tone: Tone;
    width: number;
    dash: number[];
}

const DASH: Record<Tone, number[]> = { idle: [1, 4], ok: [], warn: [12, 4], bad: [4, 3] };

export function toneOf(edge: GraphEdge): Tone {
    if (edge.health === "failing") return "bad";
    if (edge.health === "degraded") return "warn";
    return edge.requests === 0 || edge.health === "idle" ? "idle" : "ok";
}

export function lineStyle(edge: GraphEdge): LineStyle {
    const tone = toneOf(edge);
    const width = tone === "idle" ? 1 : Math.min(6, 1.2 + 1.3 * Math.log10(edge.rate + 1));
    return { tone, width, dash: DASH[tone] };
}

/** The lock at a line. Full protection shows none until asked for, trouble always shows. */
export function lockOf(edge: GraphEdge, isAsked: boolean): Lock {
    switch (edge.tls.state) {
        case "mutual":
            return isAsked ? "closed" : "none";
        case "mixed":
            return "half";
        case "plaintext":
        case "tls":
            return "open";
        default:
            return "unknown";
    }
}

/** What flows: requests, or for TCP bytes, both ways together. */
function flow(edge: GraphEdge): string {
    if (edge.protocol !== "tcp") return format.rate(edge.rate);
    const bytes = edge.bytesReceived + edge.bytesSent;
    if (edge.requests === 0) return bytes > 0 ? format.bytes(bytes) : format.rate(0);
    const bytesEach = bytes / edge.requests;
    return `${format.bytes(Math.round(bytesEach * edge.rate))}/s`;
}

/** Texts for a label, the most telling first; each shorter one is for where there is less room. */
export function labelTexts(edge: GraphEdge, kind: LabelKind): string[] {
    const tone = toneOf(edge);
    const share = edge.tls.state === "mixed" ? `${format.percent(mutualShare(edge))} · ` : "";
    const isIll = tone === "warn" || tone === "bad";
    // Two shares side by side need a word; one is known by its colour or by the lock before it.
    const word = share ? " err" : "";
    const errors = isIll ? `${format.percent(edge.failureRate)}${word} · ` : "";
    const lead = `${share}${errors}`;
    switch (kind) {
        case "rate":
            return [lead + flow(edge)];
        case "tls":
            return [
                edge.tls.state === "mixed" ? format.percent(mutualShare(edge)) : edge.tls.state,
            ];
        case "p50":
            return [lead + format.latency(edge.latency.p50Ms)];
        case "p99":
            return [lead + format.latency(edge.latency.p99Ms)];
        case "p95":
            return [lead + format.latency(edge.latency.p95Ms)];
        default: {
            const p95 = format.latency(edge.latency.p95Ms);
            const texts = [`${lead}${flow(edge)} · ${p95}`, lead + p95];
            return lead ? [...texts, lead.slice(0, -3)] : texts;
        }
    }
}
