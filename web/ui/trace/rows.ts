// rows.ts - where the reader of a waterfall is: the current row, what is folded, found, opened.
//
// The address names the span whose details are open, so that it can be sent to somebody.
import { useMemo, useState } from "preact/hooks";
import { found } from "./find.ts";
import { nextWhere, type Row, type Tree, unfoldedTo, visibleRows } from "./tree.ts";

export interface Finding {
    words: string;
    matches: ReadonlySet<number>;
    find: (words: string) => void;
    match: (step: 1 | -1) => void;
}

/** Which span the address names; `uiFind` is what links made to Jaeger's page call it. */
function spanInAddress(tree: Tree): number {
    const params = new URLSearchParams(location.search);
    const id = params.get("span") || params.get("uiFind");
    return tree.rows.findIndex((row) => row.span.spanId === id);
}

function writeSpan(id: string | null): void {
    const query = id ? `?span=${id}` : "";
    history.replaceState(history.state, "", location.pathname + query);
}

/** The current row, the folded ones, and whether details are open; the address follows. */
export function useRows(tree: Tree) {
    const asked = useMemo(() => spanInAddress(tree), [tree]);
    const [current, setCurrent] = useState(Math.max(0, asked));
    const [open, setOpen] = useState<"" | "pointer" | "keyboard">(asked < 0 ? "" : "pointer");
    const [folded, setFolded] = useState<ReadonlySet<number>>(new Set<number>());
    const rows = useMemo(() => visibleRows(tree, folded), [tree, folded]);
    const [words, find] = useState("");
    const matches = useMemo(() => found(tree, words), [tree, words]);

    const show = (at: number, isOpen: boolean) => {
        setFolded((old) => unfoldedTo(tree, old, at));
        setCurrent(at);
        writeSpan(isOpen ? (tree.rows[at]?.span.spanId ?? null) : null);
    };
    const step = (by: number) => {
        const index = rows.findIndex((row) => row.at === current);
        const next = rows[Math.min(rows.length - 1, Math.max(0, index + by))];
        if (next) show(next.at, open !== "");
    };
    const setOpenness = (how: typeof open) => {
        setOpen(how);
        writeSpan(how ? (tree.rows[current]?.span.spanId ?? null) : null);
    };
    const pick = (at: number) => {
        const isSame = at === current && open !== "";
        setOpen(isSame ? "" : "pointer");
        show(at, !isSame);
    };
    const toggle = (at: number) => {
        const row = tree.rows[at];
        if (!row || row.end === at + 1) return;
        const next = new Set(folded);
        if (!next.delete(at)) next.add(at);
        setFolded(next);
        if (current > at && current < row.end) show(at, open !== "");
    };
    const goTo = (by: 1 | -1, holds: (row: Row) => boolean) => {
        const at = nextWhere(tree, current, by, holds);
        if (at >= 0) show(at, open !== "");
    };
    const error = (by: 1 | -1) => goTo(by, (row) => row.isError);
    const match = (by: 1 | -1) => goTo(by, (row) => matches.has(row.at));
    /** Folds; what is folded already, or has nothing below, goes to what it is below of. */
    const fold = () => {
        const row = tree.rows[current];
        if (!row) return;
        if (row.end > current + 1 && !folded.has(current)) toggle(current);
        else if (row.parent >= 0) show(row.parent, open !== "");
    };
    const unfold = () => {
        if (folded.has(current)) toggle(current);
        else if ((tree.rows[current]?.end ?? 0) > current + 1) step(1);
    };
    const finding: Finding = { words, matches, find, match };
    return {
        current,
        open,
        folded,
        rows,
        finding,
        step,
        setOpen: setOpenness,
        pick,
        toggle,
        error,
        fold,
        unfold,
    };
}
