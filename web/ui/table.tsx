// table.tsx - the same edges as text: the equal of the map for those who read rather than look.
//
// Every edge the filter lets through is a row with its exact counts; a row carries them as data
// attributes too, so programs that drive a browser need not parse formatted numbers. Above
// ROWS_WHOLE rows only those in sight are in the document.
import { useMemo, useRef, useState } from "preact/hooks";
import type { GraphEdge } from "./api.ts";
import * as format from "./format.ts";
import { failureWords, fullName, type Line, lineSentence, tlsWords } from "./mesh.ts";
import { ClosedLock, HalfLock, OpenLock } from "./map/legend.tsx";

interface Column {
    key: string;
    title: string;
    isNumber: boolean;
    sortBy: (edge: GraphEdge) => string | number;
    cell: (edge: GraphEdge) => preact.ComponentChildren;
    hint?: (edge: GraphEdge) => string; // shown on hover
}

const TLS_ORDER = { plaintext: 0, tls: 1, mixed: 2, unknown: 3, mutual: 4 };

function TlsCell({ edge }: { edge: GraphEdge }) {
    const { state } = edge.tls;
    return (
        <span class={`tls is-${state}`}>
            {state === "mutual" && <ClosedLock />}
            {state === "mixed" && <HalfLock />}
            {(state === "plaintext" || state === "tls") && <OpenLock />}
            {state === "mixed"
                ? `${format.percent(edge.tls.mutual / edge.requests)} mutual`
                : state}
        </span>
    );
}

const p = (edge: GraphEdge, key: "p50Ms" | "p95Ms" | "p99Ms") => format.latency(edge.latency[key]);
const milliseconds = (ms: number) => `${ms} ms`;

// prettier-ignore
const COLUMNS: Column[] = [
    { key: "source", title: "Source", isNumber: false, sortBy: (e) => fullName(e.source), cell: (e) => fullName(e.source), hint: (e) => `${e.source.namespace}/${e.source.workload}` },
    { key: "destination", title: "Destination", isNumber: false, sortBy: (e) => fullName(e.destination), cell: (e) => fullName(e.destination), hint: (e) => `${e.destination.namespace}/${e.destination.workload}` },
    { key: "protocol", title: "Protocol", isNumber: false, sortBy: (e) => e.protocol, cell: (e) => e.protocol },
    { key: "rate", title: "Rate", isNumber: true, sortBy: (e) => e.rate, cell: (e) => format.rate(e.rate), hint: (e) => `${e.rate} requests a second` },
    { key: "requests", title: "Requests", isNumber: true, sortBy: (e) => e.requests, cell: (e) => format.count(e.requests) },
    { key: "errors", title: "Errors", isNumber: true, sortBy: (e) => e.failureRate, cell: (e) => format.percent(e.failureRate), hint: (e) => `${failureWords(e)} of ${format.count(e.requests)}` },
    { key: "p50", title: "p50", isNumber: true, sortBy: (e) => e.latency.p50Ms, cell: (e) => p(e, "p50Ms"), hint: (e) => milliseconds(e.latency.p50Ms) },
    { key: "p95", title: "p95", isNumber: true, sortBy: (e) => e.latency.p95Ms, cell: (e) => p(e, "p95Ms"), hint: (e) => milliseconds(e.latency.p95Ms) },
    { key: "p99", title: "p99", isNumber: true, sortBy: (e) => e.latency.p99Ms, cell: (e) => p(e, "p99Ms"), hint: (e) => milliseconds(e.latency.p99Ms) },
    { key: "tls", title: "TLS", isNumber: false, sortBy: (e) => TLS_ORDER[e.tls.state] ?? 9, cell: (e) => <TlsCell edge={e} />, hint: (e) => tlsWords(e) },
    { key: "evidence", title: "Seen by", isNumber: false, sortBy: (e) => e.evidence, cell: (e) => e.evidence },
];

export interface Sorting {
    key: string;
    isDown: boolean;
}

export function sortLines(lines: Line[], sorting: Sorting): Line[] {
    const column = COLUMNS.find((c) => c.key === sorting.key) ?? COLUMNS[0]!;
    const sign = sorting.isDown ? -1 : 1;
    return lines
        .map((line) => ({ line, by: column.sortBy(line.edge) }))
        .sort((a, b) =>
            a.by < b.by ? -sign : a.by > b.by ? sign : a.line.name < b.line.name ? -1 : 1,
        )
        .map(({ line }) => line);
}

const ROW_HEIGHT = 29; // as in app.css
const ROWS_WHOLE = 200;
const ROWS_AROUND = 20;

/** The rows worth having in the document, and the heights of what is left out. */
function useSlice(lines: Line[]) {
    const [top, setTop] = useState(0);
    if (lines.length <= ROWS_WHOLE)
        return { slice: lines, before: 0, after: 0, onScroll: () => {} };
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - ROWS_AROUND);
    const last = Math.min(lines.length, first + 3 * ROWS_AROUND);
    const onScroll = (event: Event) => {
        const at = (event.currentTarget as HTMLElement).scrollTop;
        if (Math.abs(at - top) > (ROW_HEIGHT * ROWS_AROUND) / 2) setTop(at);
    };
    return {
        slice: lines.slice(first, last),
        before: first * ROW_HEIGHT,
        after: (lines.length - last) * ROW_HEIGHT,
        onScroll,
    };
}

interface Props {
    lines: Line[];
    total: number;
    selected: string | null;
    hovered: string | null;
    onSelect: (edge: string, by: "pointer" | "keyboard") => void;
    onHover: (edge: string | null) => void;
}

function EdgeRow({ line, hasTabStop, props }: { line: Line; hasTabStop: boolean; props: Props }) {
    const { edge } = line;
    const classes: string[] = [edge.health];
    if (props.selected === edge.id) classes.push("selected");
    if (props.hovered === edge.id) classes.push("hovered");
    return (
        <tr
            class={classes.join(" ")}
            tabIndex={hasTabStop ? 0 : -1}
            aria-label={lineSentence(line)}
            aria-selected={props.selected === edge.id}
            data-id={edge.id}
            data-edge={`${edge.source.workload}>${edge.destination.workload}`}
            data-protocol={edge.protocol}
            data-requests={edge.requests}
            data-errors={edge.errors}
            data-failures={edge.failures}
            data-rate={edge.rate}
            data-p50-ms={edge.latency.p50Ms}
            data-p95-ms={edge.latency.p95Ms}
            data-p99-ms={edge.latency.p99Ms}
            data-tls={edge.tls.state}
            data-tls-mutual={edge.tls.mutual}
            data-tls-plaintext={edge.tls.plaintext}
            data-health={edge.health}
            data-evidence={edge.evidence}
            onClick={() => props.onSelect(edge.id, "pointer")}
            onMouseEnter={() => props.onHover(edge.id)}
            onMouseLeave={() => props.onHover(null)}
        >
            {COLUMNS.map((column) => (
                <td
                    key={column.key}
                    class={column.isNumber ? `number ${column.key}` : column.key}
                    title={column.hint?.(edge)}
                >
                    {column.cell(edge)}
                </td>
            ))}
        </tr>
    );
}

function HeadCell(props: { column: Column; sorting: Sorting; onSort: (s: Sorting) => void }) {
    const { column, sorting } = props;
    const isActive = sorting.key === column.key;
    const order = isActive ? (sorting.isDown ? "descending" : "ascending") : "none";
    const sort = () =>
        props.onSort({ key: column.key, isDown: isActive ? !sorting.isDown : column.isNumber });
    return (
        <th scope="col" class={column.isNumber ? "number" : ""} aria-sort={order}>
            <button type="button" onClick={sort}>
                {column.title}
                <span aria-hidden="true">{isActive ? (sorting.isDown ? " ↓" : " ↑") : ""}</span>
            </button>
        </th>
    );
}

export function EdgeTable(props: Props) {
    const [sorting, setSorting] = useState<Sorting>({ key: "requests", isDown: true });
    const body = useRef<HTMLTableSectionElement>(null);
    const lines = useMemo(() => sortLines(props.lines, sorting), [props.lines, sorting]);
    const { slice, before, after, onScroll } = useSlice(lines);
    const stop = slice.some((line) => line.edge.id === props.selected)
        ? props.selected
        : slice[0]?.edge.id;

    const onKeyDown = (event: KeyboardEvent) => {
        const row = event.target as HTMLElement;
        const id = row.dataset["id"];
        if (id === undefined) return;
        const rows = [...body.current!.querySelectorAll<HTMLElement>("tr[data-id]")];
        const at = rows.indexOf(row);
        const goals: Record<string, number> = {
            ArrowDown: at + 1,
            ArrowUp: at - 1,
            Home: 0,
            End: rows.length - 1,
        };
        const goal = goals[event.key];
        if (goal !== undefined) rows[goal]?.focus();
        else if (event.key === "Enter") props.onSelect(id, "keyboard");
        else return;
        event.preventDefault();
        event.stopPropagation();
    };

    return (
        <section class="edges" aria-label="Edges" onScroll={onScroll}>
            <table>
                <caption class="unseen">
                    {props.lines.length} of {props.total} edges
                </caption>
                <thead>
                    <tr>
                        {COLUMNS.map((column) => (
                            <HeadCell
                                key={column.key}
                                column={column}
                                sorting={sorting}
                                onSort={setSorting}
                            />
                        ))}
                    </tr>
                </thead>
                <tbody ref={body} onKeyDown={onKeyDown}>
                    {before > 0 && <tr aria-hidden="true" style={{ height: `${before}px` }} />}
                    {slice.map((line) => (
                        <EdgeRow
                            key={line.edge.id}
                            line={line}
                            hasTabStop={line.edge.id === stop}
                            props={props}
                        />
                    ))}
                    {after > 0 && <tr aria-hidden="true" style={{ height: `${after}px` }} />}
                </tbody>
            </table>
            {props.lines.length === 0 && props.total > 0 && (
                <p class="nothing">None of the {props.total} edges matches the filter.</p>
            )}
        </section>
    );
}
