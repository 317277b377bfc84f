// app.tsx - the page: bar, map, table, panel, and the keys that work everywhere.
//
// The address of the page is the state of the view; what comes from the collector is the state of
// the mesh; everything else is computed from the two at every tick.
import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useTheme } from "./bar.tsx";
import { parseQuery, type Query, toggleWord } from "./filter.ts";
import { Header, MTLS_WORD } from "./header.tsx";
import { Help } from "./help.tsx";
import { type KeyTable, useKeys } from "./keys.ts";
import { type LiveGraph, useLiveGraph } from "./live.ts";
import { type MapHandle, MapPane } from "./map/map.tsx";
import { unhealthy } from "./map/walk.ts";
import { cardSentence, lineSentence, meshOf, type Mesh } from "./mesh.ts";
import { Panel } from "./panel.tsx";
import { Split } from "./split.tsx";
import { NoMap } from "./states.tsx";
import { EdgeTable } from "./table.tsx";
import { applyTheme, storedTheme } from "./theme.ts";
import { type Selection, type View, viewOf, writeView } from "./url.ts";

function useView() {
    const [view, setView] = useState<View>(() => viewOf(location.search));
    const latest = useRef(view);
    useEffect(() => {
        const back = () => {
            latest.current = viewOf(location.search);
            setView(latest.current);
        };
        addEventListener("popstate", back);
        return () => removeEventListener("popstate", back);
    }, []);
    const change = (part: Partial<View>, step: "push" | "replace" = "push") => {
        latest.current = { ...latest.current, ...part };
        writeView(latest.current, step);
        setView(latest.current);
    };
    return { view, change };
}

/** What a screen reader is told when the selection changes. */
function selectionSentence(mesh: Mesh, selection: Selection): string {
    if (!selection) return "";
    if (selection.kind === "edge") {
        const line = mesh.lines.find((each) => each.edge.id === selection.id);
        return line ? lineSentence(line) : "";
    }
    const card = mesh.cards.get(selection.id);
    return card ? cardSentence(card, mesh) : "";
}

interface Actions {
    mesh: Mesh | null;
    selection: Selection;
    map: MapHandle | null;
    select: (selection: Selection, by: "pointer" | "keyboard") => void;
    closePanel: () => void;
    clearQuery: () => void;
    openHelp: () => void;
    toggleLive: () => void;
    say: (text: string) => void;
}

function nextUnhealthy({ mesh, selection, map, select, say }: Actions): void {
    const list = mesh ? unhealthy(mesh) : [];
    const at = list.findIndex((line) => line.edge.id === selection?.id);
    const next = list[(at + 1) % list.length];
    if (!next) {
        say("Every edge is healthy");
        return;
    }
    select({ kind: "edge", id: next.edge.id }, "pointer");
    map?.show(next.edge.id);
}

const KEYS: Record<string, (page: Actions) => void> = {
    "/": () => document.getElementById("filter")?.focus(),
    "?": (page) => page.openHelp(),
    Escape: (page) => (page.selection ? page.closePanel() : page.clearQuery()),
    " ": (page) => page.toggleLive(),
    x: nextUnhealthy,
    t: (page) => page.map?.tidy(),
    T: (page) => page.map?.tidy(),
    "+": (page) => page.map?.zoom(1.25),
    "=": (page) => page.map?.zoom(1.25),
    "-": (page) => page.map?.zoom(0.8),
    "0": (page) => page.map?.fit(),
};

const keysOf = (page: Actions): KeyTable =>
    Object.fromEntries(Object.entries(KEYS).map(([key, action]) => [key, () => action(page)]));

interface BodyProps {
    mesh: Mesh;
    view: View;
    query: Query;
    themeKey: string;
    map: { current: MapHandle | null };
    onSelect: (selection: Selection, by: "pointer" | "keyboard") => void;
}

/** Map above, table below, and what is hovered in one lit in the other. */
function Halves({ mesh, view, query, themeKey, map, onSelect }: BodyProps) {
    const [hovered, setHovered] = useState<string | null>(null);
    const [mapShare, setMapShare] = useState(64);
    const lines = useMemo(
        () => mesh.lines.filter((line) => query.matches(line.edge)),
        [mesh, query],
    );
    return (
        <div class="halves" style={{ gridTemplateRows: `${mapShare}% 7px 1fr` }}>
            <MapPane
                mesh={mesh}
                matches={query.isEmpty ? null : query.matches}
                selection={view.selection}
                hovered={hovered}
                label={view.label}
                themeKey={themeKey}
                handle={map}
                onSelect={onSelect}
                onHover={setHovered}
            />
            <Split share={mapShare} onShare={setMapShare} />
            <EdgeTable
                lines={lines}
                total={mesh.lines.length}
                selected={view.selection?.kind === "edge" ? view.selection.id : null}
                hovered={hovered}
                onSelect={(id, by) => onSelect({ kind: "edge", id }, by)}
                onHover={setHovered}
            />
        </div>
    );
}

/** Selecting and closing; the focus goes back to where the panel was opened from. */
function useSelecting(mesh: Mesh | null, change: (part: Partial<View>) => void) {
    const [byKeyboard, setByKeyboard] = useState(false);
    const [said, say] = useState("");
    const cameFrom = useRef<HTMLElement | null>(null);
    const select = (selection: Selection, by: "pointer" | "keyboard") => {
        if (by === "keyboard") cameFrom.current = document.activeElement as HTMLElement;
        setByKeyboard(by === "keyboard");
        change({ selection });
        if (mesh) say(selectionSentence(mesh, selection));
    };
    const closePanel = () => {
        change({ selection: null });
        if (byKeyboard) cameFrom.current?.focus();
        say("");
    };
    return { byKeyboard, said, say, select, closePanel };
}

function Lost({ live }: { live: LiveGraph }) {
    return (
        <p class="banner" role="alert">
            Connection lost, trying again in {live.retryInSeconds} s ({live.why}). The numbers may
            be old.
        </p>
    );
}

function App() {
    const { view, change } = useView();
    const { theme, themeKey, choose } = useTheme();
    const live = useLiveGraph(view.window, view.hide);
    const mesh = useMemo(() => (live.graph ? meshOf(live.graph) : null), [live.graph]);
    const query = useMemo(() => parseQuery(view.query), [view.query]);
    const { byKeyboard, said, say, select, closePanel } = useSelecting(mesh, change);
    const [isHelpOpen, setHelpOpen] = useState(false);
    const map = useRef<MapHandle | null>(null);
    const openHelp = () => setHelpOpen(true);
    const clearQuery = () => change({ query: "" });
    const { selection } = view;
    const keyed = { selection, map: map.current, toggleLive: live.toggle, openHelp, clearQuery };
    useKeys(keysOf({ ...keyed, mesh, select, closePanel, say }));

    const shown = mesh !== null && mesh.cards.size > 0 ? mesh : null;
    return (
        <>
            <Header
                view={view}
                query={query}
                mesh={mesh}
                live={live.state}
                theme={theme}
                onQuery={(text, isFinal) => change({ query: text }, isFinal ? "push" : "replace")}
                onMtls={() => change({ query: toggleWord(view.query, MTLS_WORD) })}
                onView={change}
                onLive={live.toggle}
                onTheme={choose}
                onHelp={openHelp}
            />
            {live.state === "retrying" && shown && <Lost live={live} />}
            <main class={selection && shown ? "with-panel" : ""}>
                {shown ? (
                    <Halves mesh={shown} {...{ view, query, themeKey, map }} onSelect={select} />
                ) : (
                    <NoMap
                        hasGraph={mesh !== null}
                        window={view.window}
                        hide={view.hide}
                        why={live.why}
                        retryInSeconds={live.retryInSeconds}
                    />
                )}
                {selection && shown && (
                    <Panel
                        mesh={shown}
                        selection={selection}
                        window={view.window}
                        hasFocus={byKeyboard}
                        onPick={(next) => select(next, "pointer")}
                        onClose={closePanel}
                    />
                )}
            </main>
            <p class="unseen" aria-live="polite">
                {said}
            </p>
            {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
        </>
    );
}

applyTheme(storedTheme());
const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
