// theme.ts - light, dark, or as the system says. A matter of the reader, so it is kept in the
// browser and not in the address.

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const KEY = "tulle-theme";

export function storedTheme(): Theme {
    let text: string | null = null;
    try {
        text = localStorage.getItem(KEY);
    } catch {
        // Storage is closed to us; the system's theme it is.
    }
    return THEMES.find((theme) => theme === text) ?? "auto";
}

export function applyTheme(theme: Theme): void {
    if (theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    try {
        localStorage.setItem(KEY, theme);
    } catch {
        // Then it lasts until the page is closed.
    }
}

/** Calls back when the colours of the page change for a reason outside of it. */
export function watchSystemTheme(changed: () => void): () => void {
    const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) =>
        matchMedia(query),
    );
    for (const query of queries) query.addEventListener("change", changed);
    return () => queries.forEach((query) => query.removeEventListener("change", changed));
}
