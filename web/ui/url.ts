// url.ts - what is looked at, as the address of the page; so every view can be sent to somebody.
//
//   /?t=5m&q=mtls:off&hide=virtual&sel=edge:9d4c1b7a5e3f2086&label=p99
//
// Choosing something makes a step that the Back button undoes; typing does not.

export const WINDOWS = ["1m", "5m", "15m", "1h"] as const;
export type WindowName = (typeof WINDOWS)[number];

export const LABELS = ["auto", "rate", "p50", "p95", "p99", "tls"] as const;
export type LabelKind = (typeof LABELS)[number];

export type Selection = { kind: "edge" | "node"; id: string } | null;

export interface View {
    window: WindowName;
    query: string;
    hide: string; // an expression of the API's filter language; empty: nothing
    selection: Selection;
    label: LabelKind;
}

const oneOf = <T extends string>(list: readonly T[], text: string | null, fallback: T): T =>
    list.find((item) => item === text) ?? fallback;

export function viewOf(search: string): View {
    const params = new URLSearchParams(search);
    const chosen = /^(edge|node):(.+)$/.exec(params.get("sel") ?? "");
    return {
        window: oneOf(WINDOWS, params.get("t"), "1m"),
        query: params.get("q") ?? "",
        hide: params.get("hide") ?? "",
        selection: chosen ? { kind: chosen[1] as "edge" | "node", id: chosen[2]! } : null,
        label: oneOf(LABELS, params.get("label"), "auto"),
    };
}

export function searchOf(view: View): string {
    const params = new URLSearchParams();
    if (view.window !== "1m") params.set("t", view.window);
    if (view.query) params.set("q", view.query);
    if (view.hide) params.set("hide", view.hide);
    if (view.selection) params.set("sel", `${view.selection.kind}:${view.selection.id}`);
    if (view.label !== "auto") params.set("label", view.label);
    const text = params.toString();
    return text ? `?${text}` : "";
}

export function writeView(view: View, step: "push" | "replace"): void {
    const url = `${location.pathname}${searchOf(view)}`;
    if (url === location.pathname + location.search) return;
    if (step === "push") history.pushState(null, "", url);
    else history.replaceState(null, "", url);
}
