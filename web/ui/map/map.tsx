// map.tsx - the map: cards as buttons over a canvas of lines.
//
// Layout happens only when cards or links come or go, onto the picture before; a data tick moves
// nothing. Keys work on the focused card and are listed in help.tsx.
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { churn, layOut, type Picture, type PlacedBox } from "../layout/layout.ts";
import { type Card, cardSentence, type Mesh } from "../mesh.ts";
import type { Predicate } from "../filter.ts";
import type { LabelKind, Selection } from "../url.ts";
import { NodeCard } from "./card.tsx";
import { type Curve, curvesOf, rectOf } from "./geometry.ts";
import { Legend } from "./legend.tsx";
import { Stage, type StageState } from "./stage.ts";
import { overlaps, type Rect } from "./view.ts";
import { type Direction, linesOf, step } from "./walk.ts";

export interface MapHandle {
    tidy(): void;
    fit(): void;
    zoom(factor: number): void;
    show(id: string): void;
}

interface Props {
    mesh: Mesh;
    matches: Predicate | null; // null: everything does
    selection: Selection;
    hovered: string | null;
    label: LabelKind;
    themeKey: string;
    handle: { current: MapHandle | null };
    onSelect: (selection: Selection, by: "pointer" | "keyboard") => void;
    onHover: (edge: string | null) => void;
}

const ARROWS: Record<string, Direction> = {
    ArrowLeft: "left",
    ArrowRight: "right",
    ArrowUp: "up",
    ArrowDown: "down",
};
/** From this share of changed cards on, tidying up is offered. */
const CHURN_OFFERED = 0.1;
/** With more cards than this, those out of sight or too small to read are drawn plain. */
const CARDS_WHOLE = 120;

function structureOf(mesh: Mesh): string {
    const cards = [...mesh.cards.values()].map((card) => `${card.id} ${card.height}`);
    const links = new Set(mesh.lines.map((line) => `${line.from} ${line.to}`));
    return [...cards, "", ...links].join("\n");
}

/** The picture for the mesh; made anew when nothing is there to keep or when tidied. */
function usePicture(mesh: Mesh, tidied: number) {
    const last = useRef<{ picture: Picture; tidied: number; made: string[] } | null>(null);
    const structure = structureOf(mesh);
    return useMemo(() => {
        const before = last.current?.tidied === tidied ? last.current.picture : undefined;
        const picture = layOut([...mesh.cards.values()], mesh.lines, before);
        const isFresh = !before || picture.pitch !== before.pitch || !sharesPlaces(picture, before);
        const made = isFresh ? [...mesh.cards.keys()] : last.current!.made;
        last.current = { picture, tidied, made };
        return { picture, changed: churn(made, mesh.cards.keys()) };
    }, [structure, tidied]);
}

/** The curves of a picture: their course stays as long as the lines do, what they carry changes. */
function useCurves(mesh: Mesh, picture: Picture): Curve[] {
    const ends = mesh.lines.map((l) => `${l.edge.id} ${l.fromRow} ${l.toRow}`).join("\n");
    const courses = useMemo(() => curvesOf(mesh, picture), [picture, ends]);
    return useMemo(() => {
        const byEdge = new Map(mesh.lines.map((line) => [line.edge.id, line]));
        return courses.map((curve) => ({ ...curve, line: byEdge.get(curve.line.edge.id)! }));
    }, [courses, mesh]);
}

function sharesPlaces(a: Picture, b: Picture): boolean {
    for (const box of a.boxes.values()) {
        const old = b.boxes.get(box.id);
        if (old && old.rank !== box.rank) return false;
    }
    return true;
}

interface Near {
    cards: Set<string>;
    edges: Set<string>;
}

/** What has to do with the selected card and the filter; null when all has. */
function concerned(props: Props): Near | null {
    const { mesh, matches, selection } = props;
    if (!matches && selection?.kind !== "node") return null;
    const cards = new Set<string>();
    const edges = new Set<string>();
    for (const line of mesh.lines) {
        const isNear =
            selection?.kind !== "node" || line.from === selection.id || line.to === selection.id;
        if (!isNear || (matches && !matches(line.edge))) continue;
        edges.add(line.edge.id);
        cards.add(line.from).add(line.to);
    }
    if (selection?.kind === "node") cards.add(selection.id);
    return { cards, edges };
}

/** The moving part, told of everything that changed after each render. */
function useStage(
    latest: { current: Props },
    state: StageState,
    onInSight: (rect: Rect | null) => void,
) {
    const host = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const layer = useRef<HTMLDivElement>(null);
    const stage = useRef<Stage | null>(null);
    useLayoutEffect(() => {
        stage.current = new Stage(host.current!, canvas.current!, layer.current!, {
            onInSight,
            onHover: (curve) => latest.current.onHover(curve?.line.edge.id ?? null),
            onPick: (curve) =>
                latest.current.onSelect(
                    curve ? { kind: "edge", id: curve.line.edge.id } : null,
                    "pointer",
                ),
        });
        return () => stage.current!.close();
    }, []);
    useLayoutEffect(() => stage.current!.update(state));
    useEffect(() => stage.current!.themeChanged(), [latest.current.themeKey]);
    return { host, canvas, layer, stage };
}

/** The key pressed on a card; false when it means nothing there. */
function cardKey(key: string, id: string, props: Props, picture: Picture, go: GoTo): boolean {
    const { mesh, selection, onSelect } = props;
    const way = ARROWS[key];
    if (way) {
        const next = step(mesh, picture, id, way);
        if (next !== null) go(next);
    } else if (key === "Enter") {
        onSelect({ kind: "node", id }, "keyboard");
    } else if (key === "f") {
        onSelect({ kind: "node", id }, "pointer");
    } else if (key === "e") {
        const lines = linesOf(mesh, id);
        const at = lines.findIndex((line) => line.edge.id === selection?.id);
        const next = lines[(at + 1) % lines.length];
        if (next) onSelect({ kind: "edge", id: next.edge.id }, "pointer");
    } else {
        return false;
    }
    return true;
}

type GoTo = (card: string) => void;

interface CardsProps {
    map: Props;
    picture: Picture;
    near: Near | null;
    inSight: Rect | null;
    tabStop: string | null; // the card that had the focus last
    onFocus: GoTo;
    onPick: GoTo;
}

function Cards({ map, picture, near, inSight, tabStop, onFocus, onPick }: CardsProps) {
    const { mesh, selection } = map;
    const namespaces = new Set([...mesh.cards.values()].map((card) => card.namespace));
    namespaces.delete("unknown");
    const first = [...picture.boxes.values()].sort((a, b) => a.x - b.x || a.y - b.y)[0]?.id;
    const stop = tabStop !== null && mesh.cards.has(tabStop) ? tabStop : first;
    const isPlain = (box: PlacedBox) =>
        mesh.cards.size > CARDS_WHOLE && !(inSight && overlaps(rectOf(box), inSight));
    // Where cards are too many to be told apart, only the one in hand is told in full.
    const nameOf = (card: Card, plain: boolean) =>
        plain && card.id !== tabStop ? `${card.name}, ${card.health}` : cardSentence(card, mesh);
    return (
        <>
            {[...mesh.cards.values()].map((card) => {
                const box = picture.boxes.get(card.id)!;
                return (
                    <NodeCard
                        key={card.id}
                        card={card}
                        x={box.x}
                        y={box.y}
                        name={nameOf(card, isPlain(box))}
                        isSelected={selection?.kind === "node" && selection.id === card.id}
                        isFaded={near !== null && !near.cards.has(card.id)}
                        hasTabStop={card.id === stop}
                        isPlain={isPlain(box)}
                        showNamespace={namespaces.size > 1}
                        onPick={onPick}
                        onFocus={onFocus}
                    />
                );
            })}
        </>
    );
}

interface ToolsProps {
    isTidyOffered: boolean;
    map: MapHandle;
}

function Tools({ isTidyOffered, map }: ToolsProps) {
    return (
        <div class="tools">
            {isTidyOffered && (
                <button type="button" class="offer" onClick={map.tidy}>
                    Tidy up
                </button>
            )}
            <button type="button" aria-label="Zoom in" onClick={() => map.zoom(1.25)}>
                +
            </button>
            <button type="button" aria-label="Zoom out" onClick={() => map.zoom(0.8)}>
                −
            </button>
            <button type="button" onClick={map.fit}>
                Fit
            </button>
        </div>
    );
}

export function MapPane(props: Props) {
    const { mesh, selection, hovered, label } = props;
    const [tidied, setTidied] = useState(0);
    const [tabStop, setTabStop] = useState<string | null>(null);
    const [inSight, setInSight] = useState<Rect | null>(null);
    const latest = useRef(props);
    latest.current = props;
    const { picture, changed } = usePicture(mesh, tidied);
    const curves = useCurves(mesh, picture);
    const near = concerned(props);
    const state: StageState = {
        picture,
        curves,
        kind: label,
        selected: selection?.id ?? null,
        hoveredEdge: hovered,
        isFaded: (curve) => near !== null && !near.edges.has(curve.line.edge.id),
    };
    const { host, canvas, layer, stage } = useStage(latest, state, setInSight);
    useEffect(() => {
        if (tidied > 0) stage.current!.fitAll();
    }, [tidied]);
    const pick = useCallback(
        (id: string) => latest.current.onSelect({ kind: "node", id }, "pointer"),
        [],
    );
    const goTo = (id: string) => {
        setTabStop(id);
        stage.current!.show(id);
        for (const card of layer.current!.querySelectorAll<HTMLElement>("[data-card]"))
            if (card.dataset["card"] === id) card.focus({ preventScroll: true });
    };
    const onKeyDown = (event: KeyboardEvent) => {
        const id = (event.target as HTMLElement).dataset["card"];
        if (id === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        if (!cardKey(event.key, id, props, picture, goTo)) return;
        event.preventDefault();
        event.stopPropagation();
    };
    const handle: MapHandle = {
        tidy: () => setTidied((n) => n + 1),
        fit: () => stage.current!.fitAll(),
        zoom: (factor) => stage.current!.zoomBy(factor),
        show: (id) => stage.current!.show(id),
    };
    props.handle.current = handle;
    const cards = { map: props, picture, near, inSight, tabStop };
    return (
        <div
            class={hovered === null ? "map" : "map hot"}
            ref={host}
            role="group"
            aria-label="Map of services. Arrow keys follow the calls, Enter shows details."
            onKeyDown={onKeyDown}
        >
            <canvas ref={canvas} aria-hidden="true" />
            <div class="layer" ref={layer}>
                <Cards {...cards} onFocus={setTabStop} onPick={pick} />
            </div>
            <Legend />
            <Tools isTidyOffered={changed > CHURN_OFFERED} map={handle} />
        </div>
    );
}
