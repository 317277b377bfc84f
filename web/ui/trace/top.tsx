// top.tsx - the bar of the trace pages: pages, a box for a trace's id or a service, theme, help.
import { useState } from "preact/hooks";
import { Brand, ThemeAndHelp, useTheme } from "../bar.tsx";
import { traceIdIn } from "./search.ts";

function IdBox() {
    const [text, setText] = useState("");
    const go = (event: Event) => {
        event.preventDefault();
        const wanted = text.trim();
        const id = traceIdIn(wanted);
        if (id) location.assign(`/trace/${id}`);
        else if (wanted) location.assign(`/traces?service=${encodeURIComponent(wanted)}`);
    };
    return (
        <form role="search" onSubmit={go}>
            <input
                type="search"
                id="trace-id"
                value={text}
                placeholder="Paste a trace id, or name a service"
                aria-label="Trace id or service"
                spellcheck={false}
                autocomplete="off"
                onInput={(event) => setText(event.currentTarget.value)}
            />
        </form>
    );
}

export const focusIdBox = () => document.getElementById("trace-id")?.focus();

export function Top({ onHelp }: { onHelp: () => void }) {
    const { theme, choose } = useTheme();
    return (
        <header class="bar">
            <Brand here="traces" />
            <IdBox />
            <span class="space" />
            <ThemeAndHelp theme={theme} onTheme={choose} onHelp={onHelp} />
        </header>
    );
}
