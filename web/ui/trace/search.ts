// search.ts - what is searched for, as the address of the page. Pure.
//
//   /traces?service=cart&status=error&minDuration=100ms&attr=http.route=/cart&window=1h
//   /traces?edge=9d4c1b7a5e3f2086&window=5m           requests of one edge of the map
//   /search?service=cart&tags={"error":"true"}&...    links made to Jaeger's page
//
// The parameters are those of GET /api/v1/traces; Jaeger's are translated into them once.

export interface Search {
    edge: string;
    service: string;
    operation: string;
    status: string;
    kind: string;
    minDuration: string;
    maxDuration: string;
    attrs: string[]; // key=value, level:key=value
    window: string; // empty when from and to say it
    from: string;
    to: string;
    limit: string;
}

export const SEARCH_WINDOWS = ["15m", "1h", "6h", "24h", "7d"];
const WINDOW_DEFAULT = "1h";
const NAMES = [
    "edge",
    "service",
    "operation",
    "status",
    "kind",
    "minDuration",
    "maxDuration",
    "window",
    "from",
    "to",
    "limit",
] as const;

export function searchFrom(query: string): Search {
    const params = new URLSearchParams(query);
    const search = { attrs: params.getAll("attr").filter(Boolean) } as Search;
    for (const name of NAMES) search[name] = params.get(name) ?? "";
    if (!search.from && !search.to) search.window ||= WINDOW_DEFAULT;
    return search;
}

/** As parameters of the page, and of the API when it is no edge that is asked for. */
export function queryOf(search: Search): string {
    const params = new URLSearchParams();
    for (const name of NAMES) if (search[name]) params.set(name, search[name]);
    for (const attr of search.attrs) params.append("attr", attr);
    return params.toString();
}

/** `a=1 b="two words"` as its parts; what has no "=" is looked for as being there and true. */
export function attrsFrom(text: string): string[] {
    const parts = text.match(/[^\s"=]+(?:=(?:"(?:[^"\\]|\\.)*"|[^\s"]*))?/g) ?? [];
    return parts.map((part) => (part.includes("=") ? part : `${part}=true`));
}

export const textOf = (attrs: string[]): string => attrs.join(" ");

const UUID = /\b([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\b/gi;

/** The id in what somebody pasted: an id, a UUID, a traceparent, an address; null: none is there. */
export function traceIdIn(text: string): string | null {
    const whole = /(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])/i.exec(text.replace(UUID, "$1$2$3$4$5"));
    if (whole) return whole[0].toLowerCase();
    const short = /^\s*(?=.*\d)([0-9a-f]{8,31})\s*$/i.exec(text);
    return short ? short[1]!.toLowerCase().padStart(32, "0") : null;
}

/** A tag of Jaeger's; two of its names are fields here. */
function putTag(search: Search, key: string, value: string): void {
    if (key === "error" && value === "true") search.status = "error";
    else if (key === "span.kind") search.kind = value;
    else search.attrs.push(/\s/.test(value) ? `any:${key}="${value}"` : `any:${key}=${value}`);
}

function putTags(search: Search, text: string): void {
    let tags: unknown;
    try {
        tags = JSON.parse(text);
    } catch {
        // logfmt, then
    }
    if (tags !== null && typeof tags === "object") {
        for (const [key, value] of Object.entries(tags)) putTag(search, key, String(value));
        return;
    }
    for (const attr of attrsFrom(text)) {
        const [key, value] = [attr.slice(0, attr.indexOf("=")), attr.slice(attr.indexOf("=") + 1)];
        putTag(search, key, value.replace(/^"(.*)"$/, "$1"));
    }
}

/** The address here of a link to Jaeger's search: a path. */
export function addressFromJaeger(query: string): string {
    const theirs = new URLSearchParams(query);
    const id = traceIdIn(theirs.get("traceID") ?? "");
    if (id) return `/trace/${id}`;
    const ours = searchFrom("");
    for (const name of ["service", "operation", "minDuration", "maxDuration"] as const)
        ours[name] = theirs.get(name) ?? "";
    if (ours.operation === "all") ours.operation = "";
    const limit = Number(theirs.get("limit"));
    if (limit > 0) ours.limit = String(Math.min(1000, Math.floor(limit)));
    const lookback = theirs.get("lookback") ?? "";
    if (/^\d+[smhd]$/.test(lookback)) ours.window = lookback;
    else if (theirs.get("start")) {
        ours.window = "";
        ours.from = theirs.get("start")!;
        ours.to = theirs.get("end") ?? "";
    }
    for (const tags of theirs.getAll("tags")) putTags(ours, tags);
    for (const tag of theirs.getAll("tag")) {
        const colon = tag.indexOf(":");
        if (colon > 0) putTag(ours, tag.slice(0, colon), tag.slice(colon + 1));
    }
    return `/traces?${queryOf(ours)}`;
}
