// page.tsx - the way into the trace pages: which of them the address asks for.
import { render } from "preact";
import { applyTheme, storedTheme } from "../theme.ts";
import { ListPage } from "./list_page.tsx";
import { addressFromJaeger, traceIdIn } from "./search.ts";
import { TracePage } from "./trace_page.tsx";

/** An id as the API takes it: 32 digits, zeros in front. What is none is refused there, and said. */
function idOf(path: string): string {
    const text = decodeURIComponent(path.slice("/trace/".length));
    return (
        traceIdIn(text) ??
        (/^[0-9a-f]{1,32}$/i.test(text) ? text.toLowerCase().padStart(32, "0") : text)
    );
}

function Page() {
    if (location.pathname.startsWith("/trace/")) return <TracePage id={idOf(location.pathname)} />;
    return <ListPage />;
}

applyTheme(storedTheme());
if (location.pathname === "/search") {
    const address = addressFromJaeger(location.search);
    if (address.startsWith("/trace/")) location.replace(address);
    else history.replaceState(null, "", address);
}
const root = document.getElementById("app")!;
root.textContent = "";
render(<Page />, root);
