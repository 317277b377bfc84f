// filter.ts - the query language of the map and the table.
//
//   cart                   any name at either end contains it
//   -redis                 does not
//   from:cart to:redis     one end only; service:, ns:, version: look at either
//   err>1%  p95>200ms  rate>10
//   mtls:off               not every request was under mutual TLS; also on, part, none, unknown
//   protocol:grpc
//
// Words are joined by "and". Pure: a query becomes a function that says yes or no to a line.
import type { GraphEdge, Identity } from "./api.ts";

export type Predicate = (edge: GraphEdge) => boolean;

export interface Query {
    matches: Predicate;
    isEmpty: boolean;
    problems: string[]; // words that were not understood, each with the reason
}

const names = (who: Identity) => [who.service, who.workload, who.namespace, who.cluster];
const has = (list: string[], text: string) =>
    list.some((name) => name.toLowerCase().includes(text));

const FIELDS: Record<string, (edge: GraphEdge, text: string) => boolean> = {
    service: (e, t) => has([e.source.service, e.destination.service], t),
    ns: (e, t) => has([e.source.namespace, e.destination.namespace], t),
    version: (e, t) => has([e.source.version, e.destination.version], t),
    from: (e, t) => has([...names(e.source), e.source.version], t),
    to: (e, t) => has([...names(e.destination), e.destination.version], t),
    protocol: (e, t) => e.protocol === t,
};

const MTLS: Record<string, Predicate> = {
    on: (e) => e.tls.state === "mutual",
    off: (e) => e.tls.state !== "mutual",
    part: (e) => e.tls.state === "mixed",
    none: (e) => e.tls.state === "plaintext" || e.tls.state === "tls",
    unknown: (e) => e.tls.state === "unknown",
};

const NUMBERS: Record<string, { of: (edge: GraphEdge) => number; units: Record<string, number> }> =
    {
        err: { of: (e) => e.failureRate, units: { "%": 0.01, "": 0.01 } },
        rate: { of: (e) => e.rate, units: { "": 1, "/s": 1 } },
        p50: { of: (e) => e.latency.p50Ms, units: { ms: 1, s: 1000, us: 0.001, "": 1 } },
        p95: { of: (e) => e.latency.p95Ms, units: { ms: 1, s: 1000, us: 0.001, "": 1 } },
        p99: { of: (e) => e.latency.p99Ms, units: { ms: 1, s: 1000, us: 0.001, "": 1 } },
    };

function numberWord(word: string): Predicate | string | null {
    const parts = /^([a-z0-9]+)(<|>)([0-9.]*)(.*)$/.exec(word);
    if (!parts) return null;
    const [, field, sign, digits, unit] = parts as unknown as string[];
    const number = NUMBERS[field!];
    if (!number) return `${field}: known are ${Object.keys(NUMBERS).join(", ")}`;
    const scale = number.units[unit!];
    const value = digits === "" ? NaN : Number(digits);
    if (scale === undefined || Number.isNaN(value)) {
        const units = Object.keys(number.units).filter(Boolean).join(", ");
        return `${word}: want a number and one of ${units}`;
    }
    const bound = value * scale;
    return sign === ">" ? (e) => number.of(e) > bound : (e) => number.of(e) < bound;
}

/** The predicate of one word, or why there is none. */
function wordPredicate(word: string): Predicate | string {
    const number = numberWord(word);
    if (number) return number;
    const colon = word.indexOf(":");
    if (colon <= 0) return (e) => has([...names(e.source), ...names(e.destination)], word);
    const field = word.slice(0, colon);
    const text = word.slice(colon + 1);
    if (field === "mtls")
        return MTLS[text] ?? `mtls:${text}: known are ${Object.keys(MTLS).join(", ")}`;
    const test = FIELDS[field];
    if (test) return (e) => test(e, text);
    return `${field}: known are ${[...Object.keys(FIELDS), "mtls"].join(", ")}`;
}

export function parseQuery(text: string): Query {
    const tests: Predicate[] = [];
    const problems: string[] = [];
    for (const raw of text.toLowerCase().split(/\s+/).filter(Boolean)) {
        const negated = raw.startsWith("-") && raw.length > 1;
        const found = wordPredicate(negated ? raw.slice(1) : raw);
        if (typeof found === "string") problems.push(found);
        else tests.push(negated ? (e) => !found(e) : found);
    }
    return {
        matches: (edge) => tests.every((test) => test(edge)),
        isEmpty: tests.length === 0,
        problems,
    };
}

/** Adds the word to a query, or takes it out when it is there. */
export function toggleWord(query: string, word: string): string {
    const words = query.split(/\s+/).filter(Boolean);
    const without = words.filter((w) => w !== word);
    return (without.length < words.length ? without : [...words, word]).join(" ");
}
