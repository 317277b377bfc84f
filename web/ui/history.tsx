// history.tsx - small charts of one edge over the window: rate, errors, p95.
//
// Asked for when an edge is opened and again while it stays open, every ten seconds: that is the
// width of a bucket, so there is nothing new to see earlier.
import { useEffect, useState } from "preact/hooks";
import { type GraphEdge, getHistory, type HistoryPoint } from "./api.ts";
import * as format from "./format.ts";
import type { WindowName } from "./url.ts";

const REFRESH_MS = 10_000;
const WIDTH = 300;
const HEIGHT = 34;

interface Series {
    title: string;
    of: (point: HistoryPoint) => number | null; // null: nothing happened, leave a gap
    show: (value: number) => string;
    tone: string;
}

const SERIES: Series[] = [
    { title: "rate", of: (p) => p.rate, show: format.rate, tone: "ok" },
    {
        title: "errors",
        of: (p) => (p.requests > 0 ? p.failureRate : null),
        show: format.percent,
        tone: "bad",
    },
    {
        title: "p95",
        of: (p) => (p.requests > 0 ? p.p95Ms : null),
        show: format.latency,
        tone: "ok",
    },
];

function pathOf(values: (number | null)[], most: number): string {
    let path = "";
    let isDown = false;
    values.forEach((value, i) => {
        if (value === null) {
            isDown = false;
            return;
        }
        const x = (i / Math.max(1, values.length - 1)) * WIDTH;
        const y = HEIGHT - 2 - (most > 0 ? value / most : 0) * (HEIGHT - 4);
        // h0 makes a dot of a value that stands alone.
        path += isDown ? `L${x.toFixed(1)} ${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
        isDown = true;
    });
    return path;
}

function Chart({ points, series }: { points: HistoryPoint[]; series: Series }) {
    const values = points.map(series.of);
    const most = Math.max(0, ...values.map((value) => value ?? 0));
    const summary = `${series.title}, at most ${series.show(most)}`;
    return (
        <div class="chart" role="img" aria-label={summary}>
            <span>{series.title}</span>
            <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
                <path class="base" d={`M0 ${HEIGHT - 2}H${WIDTH}`} />
                <path class={most > 0 ? series.tone : "base"} d={pathOf(values, most)} />
            </svg>
            <span class="most">{series.show(most)}</span>
        </div>
    );
}

export function History({ edge, window: name }: { edge: GraphEdge; window: WindowName }) {
    const [points, setPoints] = useState<HistoryPoint[]>([]);
    useEffect(() => {
        let isOpen = true;
        // One minute is six points; the trend needs a little more room than the numbers.
        const load = () =>
            getHistory(edge.id, name === "1m" ? "5m" : name).then(
                (history) => isOpen && setPoints(history.points),
                () => isOpen && setPoints([]),
            );
        setPoints([]);
        void load();
        const timer = setInterval(() => document.hidden || void load(), REFRESH_MS);
        return () => {
            isOpen = false;
            clearInterval(timer);
        };
    }, [edge.id, name]);
    if (points.length < 2) return null;
    return (
        <section>
            <h3>Last {name === "1m" ? "5m" : name}</h3>
            {SERIES.map((series) => (
                <Chart key={series.title} points={points} series={series} />
            ))}
        </section>
    );
}
