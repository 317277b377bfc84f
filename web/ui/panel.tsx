// panel.tsx - the place beside the map that tells all about what is selected.
import { useEffect, useRef } from "preact/hooks";
import { CardPanel } from "./card_panel.tsx";
import { EdgePanel } from "./edge_panel.tsx";
import { HealthRing } from "./map/card.tsx";
import { fullName, type Mesh, shortName } from "./mesh.ts";
import type { Selection, WindowName } from "./url.ts";

interface Props {
    mesh: Mesh;
    selection: NonNullable<Selection>;
    window: WindowName;
    hasFocus: boolean; // opened by key: take the focus
    onPick: (selection: Selection) => void;
    onClose: () => void;
}

export function Panel(props: Props) {
    const { mesh, selection } = props;
    const heading = useRef<HTMLHeadingElement>(null);
    useEffect(() => {
        if (props.hasFocus) heading.current?.focus();
    }, [selection.id, props.hasFocus]);
    const card = selection.kind === "node" ? mesh.cards.get(selection.id) : undefined;
    const line =
        selection.kind === "edge" ? mesh.lines.find((l) => l.edge.id === selection.id) : undefined;
    return (
        <aside class="panel" aria-label="Details">
            <header>
                <h2 ref={heading} tabIndex={-1}>
                    {card && (
                        <>
                            <HealthRing card={card} /> {card.name}
                        </>
                    )}
                    {line && (
                        <>
                            {line.fromRow >= 0
                                ? fullName(line.edge.source)
                                : shortName(line.edge.source)}
                            <span aria-label="to"> → </span>
                            {line.toRow >= 0
                                ? fullName(line.edge.destination)
                                : shortName(line.edge.destination)}
                        </>
                    )}
                    {!card && !line && "No traffic"}
                </h2>
                <button
                    type="button"
                    class="close"
                    aria-label="Close details"
                    onClick={props.onClose}
                >
                    ×
                </button>
            </header>
            {card && (
                <CardPanel
                    card={card}
                    mesh={mesh}
                    onPick={(id) => props.onPick({ kind: "edge", id })}
                />
            )}
            {line && <EdgePanel line={line} window={props.window} />}
            {!card && !line && (
                <p>
                    What was selected had no traffic in this window. Choose a longer one, or close
                    this.
                </p>
            )}
        </aside>
    );
}
