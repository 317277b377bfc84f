// waterfall.tsx - a row for each span and a bar for its time.
//
// Only the rows in sight are in the document; as one scrolls, rows that leave become those that
// come, so a trace of 10,000 spans costs what one of fifty does. The tree has one tab stop and says
// which row is current (aria-activedescendant), because a row that has the focus could scroll away.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as format from "../format.ts";
import { isMoved, type Row, type Tree } from "./tree.ts";

const ROW_HEIGHT = 26; // as in trace.css
const ROWS_AROUND = 12;
const DEPTH_SHOWN = 24; // deeper rows are not moved in further
const TICKS = [0, 0.25, 0.5, 0.75, 1];

interface Props {
    tree: Tree;
    rows: Row[]; // those not folded away
    folded: ReadonlySet<number>;
    matches: ReadonlySet<number>; // places of what was searched for
    current: number; // place in the tree
    isOpen: boolean; // the details of the current row are shown
    onPick: (at: number) => void;
    onFold: (at: number) => void;
}

export const rowName = ({ span }: Row): string => `${span.service || "no service"}: ${span.name}`;

/** What a screen reader says of a row. */
function sentence(row: Row): string {
    const parts = [rowName(row), format.latency(row.span.durationMs)];
    if (row.isError) parts.push("error");
    if (row.errorsBelow > 0) parts.push(`${row.errorsBelow} errors below`);
    return parts.join(", ");
}

/** Where a bar lies, in percent of the trace; wide enough to be seen. */
function barStyle(row: Row, durationMs: number) {
    const whole = Math.max(durationMs, 1e-6);
    const from = Math.min(100, Math.max(0, (row.startMs / whole) * 100));
    const width = Math.min(100 - from, (row.span.durationMs / whole) * 100);
    return { left: `min(${from}%, calc(100% - 3px))`, width: `max(${width}%, 3px)` };
}

function Fold({ row, isFolded, onFold }: { row: Row; isFolded: boolean; onFold: () => void }) {
    if (row.end === row.at + 1) return <span class="fold" />;
    const press = (event: Event) => {
        event.stopPropagation();
        onFold();
    };
    return (
        <span class="fold" aria-hidden="true" onClick={press}>
            {isFolded ? "▸" : "▾"}
        </span>
    );
}

function SpanRow({ row, index, props }: { row: Row; index: number; props: Props }) {
    const isCurrent = row.at === props.current;
    const isFolded = props.folded.has(row.at);
    const hasBelow = row.end > row.at + 1;
    const classes = ["span-row"];
    if (row.isError) classes.push("failing");
    if (props.matches.has(row.at)) classes.push("match");
    if (isCurrent) classes.push(props.isOpen ? "current open" : "current");
    return (
        <div
            role="row"
            id={`row-${row.at}`}
            class={classes.join(" ")}
            style={{ top: `${index * ROW_HEIGHT}px` }}
            aria-label={sentence(row)}
            aria-level={row.depth + 1}
            aria-rowindex={index + 2}
            aria-expanded={hasBelow ? !isFolded : undefined}
            aria-selected={isCurrent}
            data-span={row.span.spanId}
            onClick={() => props.onPick(row.at)}
        >
            <span
                role="gridcell"
                class="what"
                style={{ paddingLeft: `${4 + 13 * Math.min(row.depth, DEPTH_SHOWN)}px` }}
                title={rowName(row)}
            >
                <Fold row={row} isFolded={isFolded} onFold={() => props.onFold(row.at)} />
                <i class={`swatch v${row.colour % 5}`} />
                <b>{row.span.service || "no service"}</b>
                <span class="operation">{row.span.name}</span>
                {isMoved(row.span) && <span title="Times were corrected">⇄</span>}
                {isFolded && row.errorsBelow > 0 && (
                    <span class="mark">! {format.count(row.errorsBelow)} inside</span>
                )}
                {row.isError && <span class="mark">!</span>}
            </span>
            <span role="gridcell" class="when">
                <i
                    class={`bar-of v${row.colour % 5}`}
                    style={barStyle(row, props.tree.durationMs)}
                />
            </span>
            <span role="gridcell" class="took">
                {format.latency(row.span.durationMs)}
            </span>
        </div>
    );
}

function Axis({ durationMs }: { durationMs: number }) {
    return (
        <div role="row" class="axis" aria-rowindex={1}>
            <span role="columnheader" class="what">
                Service and operation
            </span>
            <span role="columnheader" aria-label="Time" class="when">
                {TICKS.map((share) => (
                    <span key={share} style={{ left: `${share * 100}%` }}>
                        {format.latency(durationMs * share)}
                    </span>
                ))}
            </span>
            <span role="columnheader" class="took">
                Duration
            </span>
        </div>
    );
}

/** Which of the rows are worth having in the document. */
function useSlice(len: number) {
    const box = useRef<HTMLDivElement>(null);
    const [seen, setSeen] = useState({ top: 0, height: 900 });
    const look = () => {
        const { scrollTop: top, clientHeight: height } = box.current!;
        const hasMoved = Math.abs(top - seen.top) > (ROW_HEIGHT * ROWS_AROUND) / 2;
        if (hasMoved || height !== seen.height) setSeen({ top, height });
    };
    useLayoutEffect(() => {
        const watcher = new ResizeObserver(() => {
            const { scrollTop: top, clientHeight: height } = box.current!;
            setSeen({ top, height });
        });
        watcher.observe(box.current!);
        return () => watcher.disconnect();
    }, []);
    const first = Math.max(0, Math.floor(seen.top / ROW_HEIGHT) - ROWS_AROUND);
    const count = Math.ceil(seen.height / ROW_HEIGHT) + 2 * ROWS_AROUND;
    return { box, look, first, count, last: Math.min(len, first + count) };
}

export function Waterfall(props: Props) {
    const { rows, tree } = props;
    const { box, look, first, last, count } = useSlice(rows.length);
    const index = rows.findIndex((row) => row.at === props.current);

    useEffect(() => {
        if (index < 0) return;
        const { scrollTop, clientHeight } = box.current!;
        const top = index * ROW_HEIGHT;
        const room = clientHeight - 2 * ROW_HEIGHT; // the axis stands over the first row
        if (top < scrollTop || top > scrollTop + room)
            box.current!.scrollTo({ top: Math.max(0, top - room / 2) });
    }, [index]);

    return (
        <div
            ref={box}
            class="waterfall"
            role="treegrid"
            tabIndex={0}
            aria-label="Spans"
            aria-rowcount={rows.length + 1}
            aria-activedescendant={
                index >= first && index < last ? `row-${props.current}` : undefined
            }
            onScroll={look}
        >
            <Axis durationMs={tree.durationMs} />
            <div class="rows" role="rowgroup" style={{ height: `${rows.length * ROW_HEIGHT}px` }}>
                {rows.slice(first, last).map((row, i) => (
                    <SpanRow key={(first + i) % count} row={row} index={first + i} props={props} />
                ))}
            </div>
        </div>
    );
}
