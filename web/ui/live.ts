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
export function useLiveGraph(window: WindowName): LiveGraph {
    const [graph, setGraph] = useState<Graph | null>(null);
    const [state, setState] = useState<LiveState>("connecting");
    const [trouble, setTrouble] = useState({ retryInSeconds: 0, why: "" });
    const [isPaused, setPaused] = useState(false);
    const shownWindow = useRef<WindowName | null>(null);

    useEffect(() => {
        const onGraph = (next: Graph) => {
            shownWindow.current = window;
            setGraph(next);
        };
        const live = new Live(window, {
            onGraph,
            onState: (next, retryInSeconds = 0, why = "") => {
                setState(next);
                setTrouble((old) => (next === "connecting" ? old : { retryInSeconds, why }));
            },
        });
        const follow = () => (document.hidden ? live.close() : live.start());
        if (isPaused) {
            live.pause();
            // Paused means the picture stands still; another window is another picture.
            if (shownWindow.current !== window) getGraph(window).then(onGraph, () => {});
        } else {
            follow();
            document.addEventListener("visibilitychange", follow);
        }
        return () => {
            document.removeEventListener("visibilitychange", follow);
            live.close();
        };
    }, [window, isPaused]);

    return { graph, state, ...trouble, toggle: () => setPaused((paused) => !paused) };
}
