// header.tsx - the bar at the top: pages, filter, mTLS count, window, live state, theme, help.
import { useEffect, useState } from "preact/hooks";
import { type LiveState, problemOf } from "./api.ts";
import { Brand, ThemeAndHelp } from "./bar.tsx";
import type { Query } from "./filter.ts";
import type { Mesh } from "./mesh.ts";
import { ClosedLock } from "./map/legend.tsx";
import type { Theme } from "./theme.ts";
import { type LabelKind, LABELS, type View, WINDOWS } from "./url.ts";

export const MTLS_WORD = "mtls:off";

const LABEL_NAMES: Record<LabelKind, string> = {
    auto: "rate, p95",
    rate: "rate",
    p50: "p50",
    p95: "p95",
    p99: "p99",
    tls: "TLS",
};
const LIVE_NAMES: Record<LiveState, string> = {
    connecting: "connecting",
    live: "live",
    paused: "paused",
    retrying: "retrying",
};

interface Props {
    view: View;
    query: Query;
    mesh: Mesh | null;
    live: LiveState;
    theme: Theme;
    onQuery: (text: string, isFinal: boolean) => void;
    onMtls: () => void;
    onView: (change: Partial<View>) => void;
    onLive: () => void;
    onTheme: (theme: Theme) => void;
    onHelp: () => void;
}

function MtlsChip({
    mesh,
    isOn,
    onPress,
}: {
    mesh: Mesh | null;
    isOn: boolean;
    onPress: () => void;
}) {
    if (!mesh || mesh.lines.length === 0) return null;
    const rest = mesh.lines.length - mesh.mutualLines;
    return (
        <button
            type="button"
            class={rest === 0 ? "chip full" : "chip"}
            aria-pressed={isOn}
            title={isOn ? "Show all edges" : `Show the ${rest} edges that are not fully mutual TLS`}
            onClick={onPress}
        >
            <ClosedLock /> mTLS {mesh.mutualLines} of {mesh.lines.length}
        </button>
    );
}

function Choice<T extends string>(props: {
    label: string;
    value: T;
    options: readonly T[];
    show: (option: T) => string;
    onChange: (value: T) => void;
}) {
    return (
        <label class="choice">
            <span>{props.label}</span>
            <select
                value={props.value}
                onChange={(event) => props.onChange(event.currentTarget.value as T)}
            >
                {props.options.map((option) => (
                    <option key={option} value={option}>
                        {props.show(option)}
                    </option>
                ))}
            </select>
        </label>
    );
}

/** What the collector leaves out. It judges the expression, so it is asked before the map changes. */
function HideBox({ hide, onHide }: { hide: string; onHide: (hide: string) => void }) {
    const [problem, setProblem] = useState("");
    useEffect(() => setProblem(""), [hide]);
    const choose = async (text: string) => {
        const found = text ? await problemOf(text) : "";
        setProblem(found);
        if (!found) onHide(text);
    };
    return (
        <form class="hide" onSubmit={(event) => event.preventDefault()}>
            <input
                type="search"
                id="hide"
                value={hide}
                placeholder="Hide:  ns = kube-system"
                aria-label="Hide nodes and edges"
                aria-invalid={problem !== ""}
                aria-describedby="hide-problem"
                spellcheck={false}
                autocomplete="off"
                onChange={(event) => void choose(event.currentTarget.value.trim())}
            />
            <span id="hide-problem" class="problem" role="alert">
                {problem}
            </span>
        </form>
    );
}

export function Header(props: Props) {
    const { view, live, theme } = props;
    const isPaused = live === "paused";
    return (
        <header class="bar">
            <Brand here="map" />
            <form role="search" onSubmit={(event) => event.preventDefault()}>
                <input
                    type="search"
                    id="filter"
                    value={view.query}
                    placeholder="Filter:  reviews  err>1%  p95>200ms  mtls:off"
                    aria-label="Filter edges"
                    aria-invalid={props.query.problems.length > 0}
                    aria-describedby="filter-problem"
                    spellcheck={false}
                    autocomplete="off"
                    onInput={(event) => props.onQuery(event.currentTarget.value, false)}
                    onChange={(event) => props.onQuery(event.currentTarget.value, true)}
                />
                <span id="filter-problem" class="problem">
                    {props.query.problems[0] ?? ""}
                </span>
            </form>
            <HideBox hide={view.hide} onHide={(hide) => props.onView({ hide })} />
            <MtlsChip
                mesh={props.mesh}
                isOn={view.query.split(/\s+/).includes(MTLS_WORD)}
                onPress={props.onMtls}
            />
            <span class="space" />
            <Choice
                label="Labels"
                value={view.label}
                options={LABELS}
                show={(kind) => LABEL_NAMES[kind]}
                onChange={(label) => props.onView({ label })}
            />
            <Choice
                label="Window"
                value={view.window}
                options={WINDOWS}
                show={(name) => name}
                onChange={(window) => props.onView({ window })}
            />
            <button
                type="button"
                class={`live ${live}`}
                aria-pressed={!isPaused}
                title={isPaused ? "Continue (space)" : "Pause (space)"}
                onClick={props.onLive}
            >
                <i aria-hidden="true" /> {LIVE_NAMES[live]}
            </button>
            <ThemeAndHelp theme={theme} onTheme={props.onTheme} onHelp={props.onHelp} />
        </header>
    );
}
