// live.ts - the graph as the page holds it: follows the stream while somebody looks.
import { useEffect, useRef, useState } from "preact/hooks";
import { getGraph, type Graph, Live, type LiveState } from "./api.ts";
import type { WindowName } from "./url.ts";

export interface LiveGraph {
    graph: Graph | null;
    state: LiveState;
    retryInSeconds: number;
    why: string; // why there is no stream; empty while there is one
    toggle(): void;
}

/** The stream is closed while the tab is hidden, and takes up with a whole graph afterwards. */
export function useLiveGraph(window: WindowName, hide: string): LiveGraph {
    const [graph, setGraph] = useState<Graph | null>(null);
    const [state, setState] = useState<LiveState>("connecting");
    const [trouble, setTrouble] = useState({ retryInSeconds: 0, why: "" });
    const [isPaused, setPaused] = useState(false);
    const shown = useRef<string | null>(null);

    useEffect(() => {
        const wish = { window, hide };
        const onGraph = (next: Graph) => {
            shown.current = JSON.stringify(wish);
            setGraph(next);
        };
        const live = new Live(wish, {
            onGraph,
            onState: (next, retryInSeconds = 0, why = "") => {
                setState(next);
                setTrouble((old) => (next === "connecting" ? old : { retryInSeconds, why }));
            },
        });
        const follow = () => (document.hidden ? live.close() : live.start());
        if (isPaused) {
            live.pause();
            // Paused means the picture stands still; another wish is another picture.
            if (shown.current !== JSON.stringify(wish)) getGraph(wish).then(onGraph, () => {});
        } else {
            follow();
            document.addEventListener("visibilitychange", follow);
        }
        return () => {
            document.removeEventListener("visibilitychange", follow);
            live.close();
        };
    }, [window, hide, isPaused]);

    return { graph, state, ...trouble, toggle: () => setPaused((paused) => !paused) };
}
