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
import { Stage } from "./stage.ts";
import { overlaps, type Rect } from "./view.ts";
import { type Direction, linesOf, step } from "./walk.ts";

export interface MapHandle {
    tidy(): void;
    fit(): void;
    zoom(factor: number): void;
    show(id: string): void;
    focusCard(id: string): void;
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

/** Cards that have to do with what is selected or filtered; null when all have. */
function concerned(props: Props): { cards: Set<string>; edges: Set<string> } | null {
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

export function MapPane(props: Props) {
    const { mesh, selection, hovered, label } = props;
    const host = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const layer = useRef<HTMLDivElement>(null);
    const stage = useRef<Stage | null>(null);
    const [tidied, setTidied] = useState(0);
    const [tabStop, setTabStop] = useState<string | null>(null);
    const [inSight, setInSight] = useState<Rect | null>(null);
    const latest = useRef(props);
    latest.current = props;
    const pick = useCallback(
        (id: string) => latest.current.onSelect({ kind: "node", id }, "pointer"),
        [],
    );

    const { picture, changed } = usePicture(mesh, tidied);
    const curves = useCurves(mesh, picture);
    const near = concerned(props);
    const namespaces = new Set([...mesh.cards.values()].map((card) => card.namespace));
    namespaces.delete("unknown");
    const isPlain = (box: PlacedBox) =>
        mesh.cards.size > CARDS_WHOLE && !(inSight && overlaps(rectOf(box), inSight));
    // Where cards are too many to be told apart, only the one in hand is told in full.
    const nameOf = (card: Card, plain: boolean) =>
        plain && card.id !== tabStop ? `${card.name}, ${card.health}` : cardSentence(card, mesh);
    const first = [...picture.boxes.values()].sort((a, b) => a.x - b.x || a.y - b.y)[0]?.id;
    const stop = tabStop !== null && mesh.cards.has(tabStop) ? tabStop : first;

    useLayoutEffect(() => {
        stage.current = new Stage(host.current!, canvas.current!, layer.current!, {
            onInSight: (rect) => setInSight(rect),
            onHover: (curve) => latest.current.onHover(curve?.line.edge.id ?? null),
            onPick: (curve) =>
                latest.current.onSelect(
                    curve ? { kind: "edge", id: curve.line.edge.id } : null,
                    "pointer",
                ),
        });
        return () => stage.current!.close();
    }, []);
    useLayoutEffect(() => {
        stage.current!.update({
            picture,
            curves,
            kind: label,
            selected: selection?.id ?? null,
            hoveredEdge: hovered,
            isFaded: (curve) => near !== null && !near.edges.has(curve.line.edge.id),
        });
    });
    useEffect(() => stage.current!.themeChanged(), [props.themeKey]);
    useEffect(() => {
        if (tidied > 0) stage.current!.fitAll();
    }, [tidied]);

    const focusCard = (id: string) => {
        setTabStop(id);
        stage.current!.show(id);
        for (const card of layer.current!.querySelectorAll<HTMLElement>("[data-card]"))
            if (card.dataset["card"] === id) card.focus({ preventScroll: true });
    };
    props.handle.current = {
        tidy: () => setTidied((n) => n + 1),
        fit: () => stage.current!.fitAll(),
        zoom: (factor) => stage.current!.zoomBy(factor),
        show: (id) => stage.current!.show(id),
        focusCard,
    };

    const nextLine = (id: string) => {
        const lines = linesOf(mesh, id);
        const at = lines.findIndex((line) => line.edge.id === selection?.id);
        const next = lines[(at + 1) % lines.length];
        if (next) props.onSelect({ kind: "edge", id: next.edge.id }, "pointer");
    };
    const onKeyDown = (event: KeyboardEvent) => {
        const id = (event.target as HTMLElement).dataset["card"];
        if (id === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        const way = ARROWS[event.key];
        if (way) {
            const next = step(mesh, picture, id, way);
            if (next !== null) focusCard(next);
        } else if (event.key === "Enter") {
            props.onSelect({ kind: "node", id }, "keyboard");
        } else if (event.key === "e") {
            nextLine(id);
        } else if (event.key === "f") {
            props.onSelect({ kind: "node", id }, "pointer");
        } else {
            return;
        }
        event.preventDefault();
        event.stopPropagation();
    };

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
                            onPick={pick}
                            onFocus={setTabStop}
                        />
                    );
                })}
            </div>
            <Legend />
            <div class="tools">
                {changed > CHURN_OFFERED && (
                    <button type="button" class="offer" onClick={() => setTidied((n) => n + 1)}>
                        Tidy up
                    </button>
                )}
                <button type="button" aria-label="Zoom in" onClick={() => stage.current!.zoomBy(1.25)}>
                    +
                </button>
                <button type="button" aria-label="Zoom out" onClick={() => stage.current!.zoomBy(0.8)}>
                    −
                </button>
                <button type="button" onClick={() => stage.current!.fitAll()}>
                    Fit
                </button>
            </div>
        </div>
    );
}
