// format.ts - numbers as people read them. All functions are pure, but for the reader's clock.
//
// Two digits that matter are enough on a map; the exact counts stand in the table and the panel.
// A narrow no-break space joins number and unit.

const UNIT = "\u202f";

function short(value: number): string {
    if (value >= 99.5) return Math.round(value).toString();
    if (value >= 9.95) return Math.round(value).toString();
    return value.toFixed(1).replace(/\.0$/, "");
}

function thousands(value: number): string {
    if (value < 1000) return short(value);
    if (value < 999_500) return `${short(value / 1000)}k`;
    return `${short(value / 1_000_000)}M`;
}

/** Requests per second: "812/s", "1.9/s"; rarer than one in ten seconds: "3/min". */
export function rate(perSecond: number): string {
    if (perSecond <= 0) return "0/s";
    if (perSecond >= 0.095) return `${thousands(perSecond)}/s`;
    const perMinute = perSecond * 60;
    return perMinute >= 0.95 ? `${short(perMinute)}/min` : "<1/min";
}

/** The same in words, for screen readers. */
export function rateWords(perSecond: number): string {
    if (perSecond <= 0) return "no requests";
    if (perSecond >= 0.095) return `${thousands(perSecond)} requests a second`;
    return `${short(perSecond * 60)} requests a minute`;
}

/** Milliseconds: "0.4 ms", "34 ms", "1.2 s". */
export function latency(ms: number): string {
    if (ms >= 999.5) return `${short(ms / 1000)}${UNIT}s`;
    if (ms > 0 && ms < 0.095) return `${Math.max(1, Math.round(ms * 1000))}${UNIT}µs`;
    return `${short(ms)}${UNIT}ms`;
}

/** A share from 0 to 1: "0 %", "0.04 %", "1.1 %", "31 %"; never "0 %" or "100 %" for almost. */
export function percent(share: number): string {
    const value = share * 100;
    if (value <= 0) return `0${UNIT}%`;
    if (value < 0.005) return `<0.01${UNIT}%`;
    if (value < 0.095) return `${value.toFixed(2)}${UNIT}%`;
    if (value < 100 && value >= 99.95) return `>99.9${UNIT}%`;
    if (value < 100 && value >= 99.5) return `${(Math.floor(value * 10) / 10).toFixed(1)}${UNIT}%`;
    return `${short(value)}${UNIT}%`;
}

export function bytes(count: number): string {
    if (count < 1000) return `${count}${UNIT}B`;
    const units = ["kB", "MB", "GB", "TB"];
    let value = count / 1000;
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    return `${short(value)}${UNIT}${units[unit]}`;
}

/** "12,345": exact. */
export function count(value: number): string {
    return value.toString().replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "in 23 days", "3 s ago", "now"; both in milliseconds since the epoch. */
export function when(atMs: number, nowMs: number): string {
    const steps: [number, string][] = [
        [86_400_000, "day"],
        [3_600_000, "hour"],
        [60_000, "minute"],
        [1000, "second"],
    ];
    const away = atMs - nowMs;
    for (const [ms, name] of steps) {
        const n = Math.floor(Math.abs(away) / ms);
        if (n === 0) continue;
        const words = `${n} ${name}${n === 1 ? "" : "s"}`;
        return away > 0 ? `in ${words}` : `${words} ago`;
    }
    return "now";
}

/** Of the reader's clock: "05:58:29.023"; with the day before it where that is not today. */
export function time(iso: string): string {
    const date = new Date(iso);
    const clock = date.toLocaleTimeString(undefined, {
        hourCycle: "h23",
        hour: "2-digit",
        minute: "2-digit",
        second: "2-digit",
        fractionalSecondDigits: 3,
    });
    if (date.toDateString() === new Date().toDateString()) return clock;
    return `${date.toLocaleDateString()} ${clock}`;
}
