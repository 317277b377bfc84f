// app.tsx - the page: bar, map, table, panel, and the keys that work everywhere.
//
// The address of the page is the state of the view; what comes from the collector is the state of
// the mesh; everything else is computed from the two at every tick.
import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { parseQuery, toggleWord } from "./filter.ts";
import { Header, MTLS_WORD } from "./header.tsx";
import { Help } from "./help.tsx";
import { useLiveGraph } from "./live.ts";
import { type MapHandle, MapPane } from "./map/map.tsx";
import { unhealthy } from "./map/walk.ts";
import { cardSentence, lineSentence, meshOf, type Mesh } from "./mesh.ts";
import { Panel } from "./panel.tsx";
import { Split } from "./split.tsx";
import { NoMap } from "./states.tsx";
import { EdgeTable } from "./table.tsx";
import { applyTheme, storedTheme, type Theme, watchSystemTheme } from "./theme.ts";
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

function useTheme() {
    const [theme, setTheme] = useState<Theme>(storedTheme);
    const [system, setSystem] = useState(0);
    useEffect(() => watchSystemTheme(() => setSystem((n) => n + 1)), []);
    const choose = (next: Theme) => {
        applyTheme(next);
        setTheme(next);
    };
    return { theme, themeKey: `${theme} ${system}`, choose };
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

function isTyping(event: KeyboardEvent): boolean {
    return (event.target as Element).closest("input, select, textarea, dialog") !== null;
}

function App() {
    const { view, change } = useView();
    const { theme, themeKey, choose } = useTheme();
    const live = useLiveGraph(view.window);
    const mesh = useMemo(() => (live.graph ? meshOf(live.graph) : null), [live.graph]);
    const query = useMemo(() => parseQuery(view.query), [view.query]);
    const lines = useMemo(
        () => mesh?.lines.filter((line) => query.matches(line.edge)) ?? [],
        [mesh, query],
    );
    const [hovered, setHovered] = useState<string | null>(null);
    const [isHelpOpen, setHelpOpen] = useState(false);
    const [byKeyboard, setByKeyboard] = useState(false);
    const [mapShare, setMapShare] = useState(64);
    const [said, setSaid] = useState("");
    const map = useRef<MapHandle | null>(null);
    const cameFrom = useRef<HTMLElement | null>(null);

    const select = (selection: Selection, by: "pointer" | "keyboard") => {
        if (by === "keyboard") cameFrom.current = document.activeElement as HTMLElement;
        setByKeyboard(by === "keyboard");
        change({ selection });
        if (mesh) setSaid(selectionSentence(mesh, selection));
    };
    const closePanel = () => {
        change({ selection: null });
        if (byKeyboard) cameFrom.current?.focus();
        setSaid("");
    };
    const nextUnhealthy = () => {
        if (!mesh) return;
        const list = unhealthy(mesh);
        const at = list.findIndex((line) => line.edge.id === view.selection?.id);
        const next = list[(at + 1) % list.length];
        if (!next) {
            setSaid("Every edge is healthy");
            return;
        }
        select({ kind: "edge", id: next.edge.id }, "pointer");
        map.current?.show(next.edge.id);
    };
    const KEYS: Record<string, () => void> = {
        "/": () => document.getElementById("filter")?.focus(),
        "?": () => setHelpOpen(true),
        Escape: () => (view.selection ? closePanel() : change({ query: "" })),
        " ": live.toggle,
        x: nextUnhealthy,
        t: () => map.current?.tidy(),
        T: () => map.current?.tidy(),
        "+": () => map.current?.zoom(1.25),
        "=": () => map.current?.zoom(1.25),
        "-": () => map.current?.zoom(0.8),
        "0": () => map.current?.fit(),
    };
    const onKey = (event: KeyboardEvent) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (isTyping(event)) {
            const input = event.target as HTMLElement;
            if (event.key === "Escape" && input.id === "filter") input.blur();
            return;
        }
        // Space presses the focused button, as everywhere.
        if (event.key === " " && (event.target as Element).closest("button, a")) return;
        const action = KEYS[event.key];
        if (!action) return;
        event.preventDefault();
        action();
    };
    const latestKey = useRef(onKey);
    latestKey.current = onKey;
    useEffect(() => {
        const listen = (event: KeyboardEvent) => latestKey.current(event);
        addEventListener("keydown", listen);
        return () => removeEventListener("keydown", listen);
    }, []);

    const selectedEdge = view.selection?.kind === "edge" ? view.selection.id : null;
    const hasMap = mesh !== null && mesh.cards.size > 0;
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
                onHelp={() => setHelpOpen(true)}
            />
            {live.state === "retrying" && hasMap && (
                <p class="banner" role="alert">
                    Connection lost, trying again in {live.retryInSeconds} s ({live.why}). The numbers may be old.
                </p>
            )}
            <main class={view.selection ? "with-panel" : ""}>
                {hasMap ? (
                    <div class="halves" style={{ gridTemplateRows: `${mapShare}% 7px 1fr` }}>
                        <MapPane
                            mesh={mesh}
                            matches={query.isEmpty ? null : query.matches}
                            selection={view.selection}
                            hovered={hovered}
                            label={view.label}
                            themeKey={themeKey}
                            handle={map}
                            onSelect={select}
                            onHover={setHovered}
                        />
                        <Split share={mapShare} onShare={setMapShare} />
                        <EdgeTable
                            lines={lines}
                            total={mesh.lines.length}
                            selected={selectedEdge}
                            hovered={hovered}
                            onSelect={(id, by) => select({ kind: "edge", id }, by)}
                            onHover={setHovered}
                        />
                    </div>
                ) : (
                    <NoMap
                        hasGraph={mesh !== null}
                        window={view.window}
                        why={live.why}
                        retryInSeconds={live.retryInSeconds}
                    />
                )}
                {view.selection && hasMap && (
                    <Panel
                        mesh={mesh}
                        selection={view.selection}
                        window={view.window}
                        hasFocus={byKeyboard}
                        onPick={(selection) => select(selection, "pointer")}
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
