// card.tsx - one service on the map: a button, so that it can be focused, named and pressed.
import { Component } from "preact";
import type { Card } from "../mesh.ts";
import * as format from "../format.ts";

const RADIUS = 8;
const ROUND = 2 * Math.PI * RADIUS;
/** A single failed request in a million still shows as a notch one can see. */
const NOTCH_LEAST = 0.06;

const PLAIN_LETTERS = 13;

const MARK: Record<string, string> = { failing: "!", degraded: "~" };

/** The ring: its arc is the share of good answers, the rest is thicker and in its own colour. */
export function HealthRing({ card }: { card: Pick<Card, "health" | "errorShare"> }) {
    const isIll = card.health === "failing" || card.health === "degraded";
    const notch = isIll ? Math.min(1, Math.max(NOTCH_LEAST, card.errorShare)) * ROUND : 0;
    return (
        <svg class="ring" viewBox="-11 -11 22 22" aria-hidden="true">
            <circle class="good" r={RADIUS} />
            {isIll && (
                <circle
                    class="ill"
                    r={RADIUS}
                    stroke-dasharray={`${notch} ${ROUND}`}
                    transform="rotate(-90)"
                />
            )}
            {isIll && (
                <text text-anchor="middle" y="4">
                    {MARK[card.health]}
                </text>
            )}
        </svg>
    );
}

function Kind({ card }: { card: Card }) {
    if (card.kind === "virtual")
        return (
            <svg class="kind" viewBox="0 0 16 16" aria-hidden="true">
                <ellipse cx="8" cy="4" rx="5.5" ry="2.2" />
                <path d="M2.5 4v8c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2V4" />
            </svg>
        );
    if (card.isEntry)
        return (
            <svg class="kind" viewBox="0 0 16 16" aria-hidden="true">
                <path d="M3 2.5l5.5 5.5L3 13.5M8.5 2.5L14 8l-5.5 5.5" />
            </svg>
        );
    return null;
}

/** Both do not fit: where there are several namespaces they tell more than an only version. */
function subtitle(card: Card, showNamespace: boolean): string {
    const only = card.rows.length === 1 ? card.rows[0]! : null;
    const version = only && only.label !== "latest" && /^v?\d/.test(only.label) ? only.label : "";
    const rate = card.inRate > 0 ? format.rate(card.inRate) : `${format.rate(card.outRate)} out`;
    const namespace = showNamespace && card.namespace !== "unknown" ? card.namespace : "";
    return [rate, namespace || version].filter(Boolean).join(" · ");
}

interface Props {
    card: Card;
    x: number;
    y: number;
    name: string; // the whole card as a sentence
    isSelected: boolean;
    isFaded: boolean;
    hasTabStop: boolean;
    isPlain: boolean; // name and colour only: one of very many, or too far away to be read
    showNamespace: boolean;
    onPick: (id: string) => void;
    onFocus: (id: string) => void;
}

function Inside({ card, showNamespace }: Props) {
    return (
        <>
            <span class="head">
                <HealthRing card={card} />
                <span class="title">
                    <b>{card.name}</b>
                    <small>{subtitle(card, showNamespace)}</small>
                </span>
                <Kind card={card} />
            </span>
            {card.rows.length > 1 &&
                card.rows.map((row, i) => (
                    <span class={`row ${row.node.health}`} key={row.node.id}>
                        <i class={`swatch v${i % 5}`} />
                        <span class="version">{row.label}</span>
                        <span class="share">{format.percent(row.share)}</span>
                        <span class="rate">{format.rate(row.node.inRate)}</span>
                    </span>
                ))}
        </>
    );
}

/** A plain card has no clipping of its own, which is dear by the thousand. */
function cut(name: string): string {
    return name.length > PLAIN_LETTERS ? `${name.slice(0, PLAIN_LETTERS - 1)}…` : name;
}

function cardButton(props: Props) {
    const { card } = props;
    const kinds = ["card", card.health, card.kind];
    if (props.isSelected) kinds.push("selected");
    if (props.isFaded) kinds.push("faded");
    if (props.isPlain) kinds.push("plain");
    // Not a transform: a thousand of those cost the browser more than all else on the page.
    const place = {
        left: `${props.x - card.width / 2}px`,
        top: `${props.y - card.height / 2}px`,
        width: `${card.width}px`,
        height: `${card.height}px`,
    };
    return (
        <button
            type="button"
            class={kinds.join(" ")}
            style={place}
            data-card={card.id}
            tabIndex={props.hasTabStop ? 0 : -1}
            aria-label={props.name}
            aria-pressed={props.isSelected}
            onClick={() => props.onPick(card.id)}
            onFocus={() => props.onFocus(card.id)}
        >
            {props.isPlain ? cut(card.name) : <Inside {...props} />}
        </button>
    );
}

/** Everything a card shows that can change without its sentence changing. */
function shown(card: Card): string {
    const rows = card.rows.map((row) => [
        row.label,
        row.node.health,
        format.percent(row.share),
        format.rate(row.node.inRate),
    ]);
    return `${card.name} ${card.kind} ${card.isEntry} ${card.height} ${rows.join(" ")}`;
}

/** Drawn again only when something about the card changed; a big mesh has a thousand of them. */
export class NodeCard extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
        return (Object.keys(next) as (keyof Props)[]).some((key) =>
            key === "card"
                ? shown(next.card) !== shown(this.props.card)
                : next[key] !== this.props[key],
        );
    }

    override render() {
        return cardButton(this.props);
    }
}
