// bar.tsx - what every page has in its bar: the ways to the others, theme, help.
import { useEffect, useState } from "preact/hooks";
import { applyTheme, storedTheme, type Theme, THEMES, watchSystemTheme } from "./theme.ts";

const THEME_SIGNS: Record<Theme, string> = { auto: "◐", light: "☀", dark: "☾" };
const PAGES = { map: ["/", "Map"], traces: ["/traces", "Traces"] } as const;

export function Brand({ here }: { here: keyof typeof PAGES }) {
    return (
        <>
            <h1>Tulle</h1>
            <nav aria-label="Pages">
                {Object.entries(PAGES).map(([key, [path, name]]) => (
                    <a key={key} href={path} aria-current={key === here ? "page" : undefined}>
                        {name}
                    </a>
                ))}
            </nav>
        </>
    );
}

export function useTheme() {
    const [theme, setTheme] = useState<Theme>(storedTheme);
    const [system, setSystem] = useState(0);
    useEffect(() => watchSystemTheme(() => setSystem((n) => n + 1)), []);
    const choose = (next: Theme) => {
        applyTheme(next);
        setTheme(next);
    };
    return { theme, themeKey: `${theme} ${system}`, choose };
}

export function ThemeAndHelp(props: {
    theme: Theme;
    onTheme: (theme: Theme) => void;
    onHelp: () => void;
}) {
    const { theme } = props;
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
    return (
        <>
            <button
                type="button"
                class="icon"
                aria-label={`Theme: ${theme}. Change to ${next}`}
                title={`Theme: ${theme}`}
                onClick={() => props.onTheme(next)}
            >
                {THEME_SIGNS[theme]}
            </button>
            <button
                type="button"
                class="icon"
                aria-label="Help"
                title="Keys and legend (?)"
                onClick={props.onHelp}
            >
                ?
            </button>
        </>
    );
}
