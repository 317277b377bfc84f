// trace_page.tsx - one trace: what it is, its waterfall, and the details of a span beside it.
//
//   /trace/0af7651916cd43dd8448eb211c80319c?span=00f067aa0ba902b7
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type GraphEdge, Refused } from "../api.ts";
import * as format from "../format.ts";
import { getEdgesOf, getTrace, type Trace } from "./data.ts";
import { Help } from "./help.tsx";
import { useKeys } from "../keys.ts";
import { type Finding, useRows } from "./rows.ts";
import { moment, SpanPanel } from "./span_panel.tsx";
import { focusIdBox, Top } from "./top.tsx";
import { isMoved, treeOf, type Tree } from "./tree.ts";
import { rowName, Waterfall } from "./waterfall.tsx";

interface Loaded {
    trace: Trace | null;
    problem: Refused | Error | null;
}

function useTrace(id: string, attempt: number): Loaded {
    const [loaded, setLoaded] = useState<Loaded>({ trace: null, problem: null });
    useEffect(() => {
        setLoaded({ trace: null, problem: null });
        getTrace(id).then(
            (trace) => setLoaded({ trace, problem: null }),
            (problem: Error) => setLoaded({ trace: null, problem }),
        );
    }, [id, attempt]);
    return loaded;
}

function useEdges(id: string, isThere: boolean): GraphEdge[] {
    const [edges, setEdges] = useState<GraphEdge[]>([]);
    useEffect(() => {
        // Without them only the links to the map are missing.
        if (isThere) getEdgesOf(id).then(setEdges, () => {});
    }, [id, isThere]);
    return edges;
}

function Problem({ id, why, onRetry }: { id: string; why: Error; onRetry: () => void }) {
    const status = why instanceof Refused ? why.status : 0;
    return (
        <div class="state" role="alert">
            <h2>
                {status === 404
                    ? "No span of this trace is kept"
                    : status === 400
                      ? "This is no trace id"
                      : "The trace could not be read"}
            </h2>
            {status === 404 && (
                <p>
                    <code>{id}</code> has not arrived (yet), was not sampled, or is older than what
                    is kept.
                </p>
            )}
            {status === 400 && (
                <p>
                    <code>{id}</code>: a trace id has 32 hexadecimal digits; zeros in front may be
                    left out.
                </p>
            )}
            {status !== 404 && status !== 400 && <p>{why.message}</p>}
            <p class="links">
                {status !== 400 && (
                    <button type="button" onClick={onRetry}>
                        Try again
                    </button>
                )}
                <a href="/traces">Newest traces</a>
            </p>
        </div>
    );
}

/** Also where the page is not served securely, and the browser has no clipboard for it. */
async function copy(text: string, from: HTMLElement): Promise<boolean> {
    getSelection()?.selectAllChildren(from);
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        return document.execCommand("copy");
    }
}

function TraceId({ id }: { id: string }) {
    const code = useRef<HTMLElement>(null);
    const [hasCopied, setCopied] = useState(false);
    const press = async () => setCopied(await copy(id, code.current!));
    return (
        <span class="trace-id">
            <code ref={code}>{id}</code>{" "}
            <button type="button" aria-label="Copy the trace id" onClick={() => void press()}>
                {hasCopied ? "copied" : "copy"}
            </button>
        </span>
    );
}

function FindBox({ words, matches, find, match }: Finding) {
    const submit = (event: Event) => {
        event.preventDefault();
        match(1);
    };
    return (
        <form class="find" onSubmit={submit}>
            <input
                type="search"
                id="find"
                value={words}
                placeholder="Find in spans (f)"
                aria-label="Find in spans"
                spellcheck={false}
                autocomplete="off"
                onInput={(event) => find(event.currentTarget.value)}
            />{" "}
            <span role="status">
                {words.trim() !== "" && `${format.count(matches.size)} found`}
            </span>
        </form>
    );
}

function Head(props: {
    trace: Trace;
    tree: Tree;
    finding: Finding;
    onError: (step: 1 | -1) => void;
}) {
    const { trace, tree, onError } = props;
    const root = tree.rows[0];
    const moved = trace.spans.filter(isMoved).length;
    return (
        <section class="trace-head" aria-label="The trace">
            <h2>{root ? rowName(root) : "A trace without spans"}</h2>
            <p class="trace-facts">
                <TraceId id={trace.traceId} />
                <span title={`${moment(trace.startNs)} UTC`}>{format.time(trace.start)}</span>
                <span>
                    <b>{format.latency(trace.durationMs)}</b>
                </span>
                <span>
                    <b>{format.count(trace.spans.length)}</b> spans
                </span>
                <span>
                    <b>{trace.services.length}</b> services
                </span>
                {tree.errors > 0 ? (
                    <span class="problem-text">
                        ! <b>{format.count(tree.errors)}</b> in error{" "}
                        <button
                            type="button"
                            title="Previous error (E)"
                            onClick={() => onError(-1)}
                        >
                            ↑<span class="unseen">Previous error</span>
                        </button>{" "}
                        <button type="button" title="Next error (e)" onClick={() => onError(1)}>
                            ↓<span class="unseen">Next error</span>
                        </button>
                    </span>
                ) : (
                    <span>no errors</span>
                )}
                <span class="space" />
                <FindBox {...props.finding} />
                <a href={`/api/v1/traces/${trace.traceId}`} download={`${trace.traceId}.json`}>
                    JSON
                </a>
                <a href={`/api/traces/${trace.traceId}`} download={`${trace.traceId}-jaeger.json`}>
                    Jaeger's JSON
                </a>
            </p>
            {trace.incomplete && (
                <p class="warning">
                    Only the first {format.count(trace.spans.length)} spans are shown; the JSON has
                    all of them.
                </p>
            )}
            {moved > 0 && (
                <p class="warning">
                    ⇄ The times of {moved} {moved === 1 ? "span" : "spans"} were corrected: the
                    clock of another host is off. The details tell what was sent.
                </p>
            )}
        </section>
    );
}

/** Where one came from; a link that opened a window of its own has nothing behind it. */
function goBack(): void {
    if (history.length > 1) history.back();
    else location.assign("/traces");
}

function Shown({ trace, onHelp }: { trace: Trace; onHelp: () => void }) {
    const tree = useMemo(() => treeOf(trace), [trace]);
    const edges = useEdges(trace.traceId, true);
    const rows = useRows(tree);
    const row = tree.rows[rows.current];
    const isOpen = rows.open !== "" && row !== undefined;
    const close = () => {
        rows.setOpen("");
        document.querySelector<HTMLElement>(".waterfall")?.focus();
    };
    const [down, up] = [() => rows.step(1), () => rows.step(-1)];
    useKeys({
        j: down,
        ArrowDown: down,
        k: up,
        ArrowUp: up,
        Home: () => rows.step(-Infinity),
        End: () => rows.step(Infinity),
        h: rows.fold,
        ArrowLeft: rows.fold,
        l: rows.unfold,
        ArrowRight: rows.unfold,
        e: () => rows.error(1),
        E: () => rows.error(-1),
        f: () => document.getElementById("find")?.focus(),
        n: () => rows.finding.match(1),
        N: () => rows.finding.match(-1),
        Enter: () => (isOpen ? close() : rows.setOpen("keyboard")),
        Escape: () => (isOpen ? close() : goBack()),
        "/": focusIdBox,
        "?": onHelp,
    });
    return (
        <>
            <Head {...{ trace, tree }} finding={rows.finding} onError={rows.error} />
            <main class={isOpen ? "with-panel" : ""}>
                <Waterfall
                    tree={tree}
                    rows={rows.rows}
                    folded={rows.folded}
                    matches={rows.finding.matches}
                    current={rows.current}
                    isOpen={isOpen}
                    onPick={rows.pick}
                    onFold={rows.toggle}
                />
                {isOpen && (
                    <SpanPanel
                        {...{ trace, tree, row, edges }}
                        hasFocus={rows.open === "keyboard"}
                        onClose={close}
                    />
                )}
            </main>
        </>
    );
}

export function TracePage({ id }: { id: string }) {
    const [attempt, setAttempt] = useState(0);
    const [isHelpOpen, setHelpOpen] = useState(false);
    const { trace, problem } = useTrace(id, attempt);
    const openHelp = () => setHelpOpen(true);
    useEffect(() => {
        const root = trace && treeOf(trace).rows[0];
        document.title = root ? `${rowName(root)} - Tulle` : `Trace ${id} - Tulle`;
    }, [trace]);
    return (
        <>
            <Top onHelp={openHelp} />
            {trace && <Shown trace={trace} onHelp={openHelp} />}
            {!trace && problem && (
                <main>
                    <Problem id={id} why={problem} onRetry={() => setAttempt(attempt + 1)} />
                </main>
            )}
            {!trace && !problem && (
                <main>
                    <p class="state" role="status">
                        Reading the trace
                    </p>
                </main>
            )}
            {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
        </>
    );
}
