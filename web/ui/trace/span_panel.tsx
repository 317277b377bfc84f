// span_panel.tsx - everything known about one span.
import { useEffect, useRef } from "preact/hooks";
import type { GraphEdge } from "../api.ts";
import { Facts } from "../facts.tsx";
import * as format from "../format.ts";
import { fullName } from "../mesh.ts";
import { WINDOWS } from "../url.ts";
import type { Span, Trace } from "./data.ts";
import { edgesOf } from "./edges_of.ts";
import { betweenMs, type Row, type Tree } from "./tree.ts";
import { AttributeList, Attributes } from "./values.tsx";

/** A time to the microsecond, in UTC: the clock on which the store and the logs agree. */
export function moment(ns: string): string {
    const text = ns.padStart(10, "0");
    const seconds = new Date(Number(text.slice(0, -9)) * 1000).toISOString();
    return `${seconds.slice(0, 19).replace("T", " ")}.${text.slice(-9, -3)}`;
}

/** The shortest window of the map that reaches back to a time. */
export function windowFor(agoMs: number): string {
    const minutes = [1, 5, 15, 60];
    return WINDOWS[minutes.findIndex((most) => agoMs < (most - 0.5) * 60_000)] ?? "1h";
}

function EdgeLinks({ edges, trace }: { edges: GraphEdge[]; trace: Trace }) {
    if (edges.length === 0) return null;
    const window = windowFor(Date.now() - Date.parse(trace.start));
    return (
        <section>
            <h3>On the map</h3>
            <ul class="places">
                {edges.map((edge) => (
                    <li key={edge.id}>
                        <a href={`/?t=${window}&sel=edge:${edge.id}`}>
                            {fullName(edge.source)} → {fullName(edge.destination)}
                        </a>{" "}
                        {edge.protocol}
                    </li>
                ))}
            </ul>
        </section>
    );
}

function Warnings({ span }: { span: Span }) {
    const isMoved = span.movedNs !== "0";
    if (!isMoved && span.warnings.length === 0) return null;
    const sent = (BigInt(span.startNs) - BigInt(span.movedNs)).toString();
    const movedMs = Number(span.movedNs) / 1e6;
    return (
        <section>
            <h3>Corrected for display</h3>
            {span.warnings.map((text) => (
                <p key={text} class="warning">
                    {text}
                </p>
            ))}
            {isMoved && (
                <Facts
                    rows={[
                        ["start as sent", moment(sent)],
                        [
                            "moved",
                            `${format.latency(Math.abs(movedMs))} ${movedMs < 0 ? "earlier" : "later"}`,
                        ],
                    ]}
                />
            )}
        </section>
    );
}

function sinceStart(ms: number): string {
    return ms < 0 ? `${format.latency(-ms)} before the start` : `after ${format.latency(ms)}`;
}

function Events({ span }: { span: Span }) {
    if (span.events.length === 0 && span.droppedEvents === 0) return null;
    return (
        <section>
            <h3>Events</h3>
            {span.events.map((event, i) => (
                <div key={i} class="event">
                    <p title={moment(event.timeNs)}>
                        <b>{event.name || "event"}</b>{" "}
                        <span class="muted">
                            {sinceStart(betweenMs(span.startNs, event.timeNs))}
                        </span>
                    </p>
                    <AttributeList of={event.attributes} dropped={event.droppedAttributes} />
                </div>
            ))}
            {span.droppedEvents > 0 && (
                <p class="note">{span.droppedEvents} more were dropped by the sender</p>
            )}
        </section>
    );
}

function Links({ span }: { span: Span }) {
    if (span.links.length === 0 && span.droppedLinks === 0) return null;
    return (
        <section>
            <h3>Links to other spans</h3>
            {span.links.map((link, i) => (
                <div key={i} class="event">
                    {link.traceId ? (
                        <a href={`/trace/${link.traceId}?span=${link.spanId ?? ""}`}>
                            <code>
                                {link.traceId} {link.spanId}
                            </code>
                        </a>
                    ) : (
                        "without an id"
                    )}
                    <AttributeList of={link.attributes} dropped={link.droppedAttributes} />
                </div>
            ))}
            {span.droppedLinks > 0 && (
                <p class="note">{span.droppedLinks} more were dropped by the sender</p>
            )}
        </section>
    );
}

interface Props {
    trace: Trace;
    tree: Tree;
    row: Row;
    edges: GraphEdge[];
    hasFocus: boolean; // opened by key: take the focus
    onClose: () => void;
}

export function SpanPanel({ trace, tree, row, edges, hasFocus, onClose }: Props) {
    const { span } = row;
    const heading = useRef<HTMLHeadingElement>(null);
    useEffect(() => {
        if (hasFocus) heading.current?.focus();
    }, [row.at, hasFocus]);
    const resource = trace.resources[span.resource];
    const scope = trace.scopes[span.scope];
    return (
        <aside class="panel" aria-label="Details of the span">
            <header>
                <h2 ref={heading} tabIndex={-1}>
                    {span.service || "no service"} <span class="muted">{span.name}</span>
                </h2>
                <button type="button" class="close" aria-label="Close details" onClick={onClose}>
                    ×
                </button>
            </header>
            <p class="numbers">
                <span>
                    <b>{format.latency(span.durationMs)}</b> duration
                </span>
                <span>
                    <b>{format.latency(row.startMs)}</b> after the start
                </span>
                <span class={row.isError ? "failing" : ""}>
                    <b>{span.status}</b> status
                </span>
            </p>
            {span.statusMessage && (
                <p class={row.isError ? "problem-text" : ""}>{span.statusMessage}</p>
            )}
            <EdgeLinks edges={edgesOf(tree, row, edges)} trace={trace} />
            <Warnings span={span} />
            <Attributes title="Attributes" of={span.attributes} dropped={span.droppedAttributes} />
            <Events span={span} />
            <Links span={span} />
            {resource && (
                <Attributes
                    title="Resource"
                    of={resource.attributes}
                    dropped={resource.droppedAttributes}
                />
            )}
            <section>
                <h3>Span</h3>
                <Facts
                    rows={[
                        ["kind", span.kind],
                        ["start (UTC)", moment(span.startNs)],
                        ["span id", <code>{span.spanId}</code>],
                        ["parent", span.parentId && <code>{span.parentId}</code>],
                        ["trace state", span.traceState],
                        ["made by", scope && `${scope.name} ${scope.version}`.trim()],
                    ]}
                />
            </section>
            {scope && scope.attributes.length > 0 && (
                <Attributes title="Scope" of={scope.attributes} dropped={scope.droppedAttributes} />
            )}
        </aside>
    );
}
