// keys.ts - keys that work wherever the focus is, but not while somebody types.
import { useLayoutEffect, useRef } from "preact/hooks";

export type KeyTable = Record<string, () => void>;

/** Enter and space press the focused button or link, as everywhere. */
const PRESSES = ["Enter", " "];
/** These move through a panel that has the focus. */
const SCROLLS = ["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Home", "End"];

export function useKeys(table: KeyTable): void {
    const latest = useRef(table);
    latest.current = table;
    // Not useEffect: keys are heard as soon as the page is there, not some time after it was painted.
    useLayoutEffect(() => {
        const listen = (event: KeyboardEvent) => {
            if (event.ctrlKey || event.metaKey || event.altKey) return;
            const target = event.target as HTMLElement;
            if (target.closest("input, select, textarea, dialog")) {
                if (event.key === "Escape" && target.closest("form")) target.blur();
                return;
            }
            if (PRESSES.includes(event.key) && target.closest("button, a, summary")) return;
            if (SCROLLS.includes(event.key) && target.closest(".panel")) return;
            const action = latest.current[event.key];
            if (!action) return;
            event.preventDefault();
            action();
        };
        addEventListener("keydown", listen);
        return () => removeEventListener("keydown", listen);
    }, []);
}
