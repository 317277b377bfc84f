// list_page.tsx - traces that were searched for, newest first, page by page.
import { useEffect, useRef, useState } from "preact/hooks";
import * as format from "../format.ts";
import { DurationBar, Time } from "./cells.tsx";
import { findTraces, type Found, getServices, type Service, type Summary } from "./data.ts";
import { Help } from "./help.tsx";
import { useKeys } from "../keys.ts";
import { EdgeRequests } from "./requests.tsx";
import { queryOf, type Search, searchFrom } from "./search.ts";
import { SearchForm } from "./search_form.tsx";
import { focusIdBox, Top } from "./top.tsx";

/** The search is the address; Back undoes a step of it. */
function useSearch() {
    const [search, setSearch] = useState<Search>(() => searchFrom(location.search));
    useEffect(() => {
        const back = () => setSearch(searchFrom(location.search));
        addEventListener("popstate", back);
        return () => removeEventListener("popstate", back);
    }, []);
    const change = (next: Search) => {
        history.pushState(null, "", `/traces?${queryOf(next)}`);
        setSearch(next);
    };
    return { search, change };
}

interface Pages {
    found: Found | null; // all pages so far, as one
    why: string; // why there is none
    isReading: boolean;
}

function usePages(query: string) {
    const [pages, setPages] = useState<Pages>({ found: null, why: "", isReading: true });
    const asked = useRef("");
    const ask = (cursor: string, before: Summary[]) => {
        const wish = cursor ? `${query}&cursor=${cursor}` : query;
        asked.current = wish;
        setPages((old) => ({ ...old, why: "", isReading: true }));
        findTraces(wish).then(
            (found) => {
                if (asked.current !== wish) return;
                const traces = [...before, ...found.traces];
                setPages({ found: { ...found, traces }, why: "", isReading: false });
            },
            (error: Error) => {
                if (asked.current !== wish) return;
                setPages((old) => ({ ...old, why: error.message, isReading: false }));
            },
        );
    };
    useEffect(() => {
        setPages({ found: null, why: "", isReading: true });
        ask("", []);
    }, [query]);
    const more = () => pages.found?.next && ask(pages.found.next, pages.found.traces);
    return { ...pages, more, again: () => ask("", []) };
}

function useServices(): Service[] {
    const [services, setServices] = useState<Service[]>([]);
    useEffect(() => {
        getServices().then(setServices, () => {}); // they only suggest
    }, []);
    return services;
}

function TraceRow({ trace, mostMs }: { trace: Summary; mostMs: number }) {
    const { errors, spans } = trace;
    return (
        <tr class={errors > 0 ? "failing" : ""} data-trace={trace.traceId}>
            <td>
                <Time at={trace.start} />
            </td>
            <td class="root">
                <a href={`/trace/${trace.traceId}`}>
                    <b>{trace.rootService || "no service"}</b> {trace.rootName}
                </a>
            </td>
            <td class="number">{format.count(spans)}</td>
            <td class="number errors">{errors > 0 ? `! ${format.count(errors)}` : "0"}</td>
            <td class="bar-cell">
                <DurationBar ms={trace.durationMs} mostMs={mostMs} isError={errors > 0} />
            </td>
        </tr>
    );
}

function Nothing({ search, found }: { search: Search; found: Found }) {
    const isNarrow = queryOf({ ...search, window: "", from: "", to: "", limit: "" }) !== "";
    return (
        <div class="state">
            <h2>No traces {isNarrow ? "match" : "yet"}</h2>
            <p>
                Between {format.time(found.from)} and {format.time(found.to)}
                {isNarrow
                    ? " no span fulfils all of this at once."
                    : " no span has arrived. Sidecars and OpenTelemetry SDKs send them to port 4318 or 4317."}
            </p>
            <p>
                {isNarrow && <a href="/traces">Every trace of the last hour</a>}
                {!isNarrow && <a href="/traces?window=7d">The last seven days</a>}
            </p>
        </div>
    );
}

const BOUNDS = { time: "after 5 s", spans: "after 100 million spans" };

function List({ search }: { search: Search }) {
    const { found, why, isReading, more, again } = usePages(queryOf(search));
    const traces = found?.traces ?? [];
    const mostMs = Math.max(...traces.map((trace) => trace.durationMs), 0);
    if (why && traces.length === 0)
        return (
            <div class="state" role="alert">
                <h2>The search was not answered</h2>
                <p>{why}</p>
                <p class="links">
                    <button type="button" onClick={again}>
                        Try again
                    </button>
                </p>
            </div>
        );
    if (!found)
        return (
            <p class="state" role="status">
                Searching
            </p>
        );
    if (traces.length === 0 && !found.next) return <Nothing search={search} found={found} />;
    return (
        <>
            <table>
                <caption class="unseen">Traces, newest first</caption>
                <thead>
                    <tr>
                        <th scope="col">Start</th>
                        <th scope="col">Where it began</th>
                        <th scope="col" class="number">
                            Spans
                        </th>
                        <th scope="col" class="number">
                            Errors
                        </th>
                        <th scope="col">Duration</th>
                    </tr>
                </thead>
                <tbody>
                    {traces.map((trace) => (
                        <TraceRow key={trace.traceId} trace={trace} mostMs={mostMs} />
                    ))}
                </tbody>
            </table>
            <p class="more" role="status">
                {found.incomplete &&
                    `The search stopped ${BOUNDS[found.incompleteBecause ?? "time"]}; go on for what is older. `}
                {why && <span class="problem-text">{why} </span>}
                {found.next ? (
                    <button type="button" disabled={isReading} onClick={more}>
                        {isReading ? "Searching" : "Older traces"}
                    </button>
                ) : (
                    `All ${format.count(traces.length)} there are.`
                )}
            </p>
        </>
    );
}

/** From one row's link to the next. */
function stepRow(by: number): void {
    const links = [...document.querySelectorAll<HTMLElement>(".traces tbody a")];
    const at = links.indexOf(document.activeElement as HTMLElement);
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

export function ListPage() {
    const { search, change } = useSearch();
    const services = useServices();
    const [isHelpOpen, setHelpOpen] = useState(false);
    const openHelp = () => setHelpOpen(true);
    useEffect(() => {
        document.title = search.service ? `Traces of ${search.service} - Tulle` : "Traces - Tulle";
    }, [search.service]);
    const [down, up] = [() => stepRow(1), () => stepRow(-1)];
    useKeys({ j: down, ArrowDown: down, k: up, ArrowUp: up, "/": focusIdBox, "?": openHelp });
    return (
        <>
            <Top onHelp={openHelp} />
            {!search.edge && (
                <SearchForm
                    key={queryOf(search)}
                    search={search}
                    services={services}
                    onSearch={change}
                />
            )}
            <main>
                <section class="traces" aria-label="Traces">
                    {search.edge ? (
                        <EdgeRequests edge={search.edge} window={search.window} />
                    ) : (
                        <List search={search} />
                    )}
                </section>
            </main>
            {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
        </>
    );
}
