// help.tsx - keys of the trace pages, and what the searches take: the dialog behind "?".
import { Dialog, KeyList } from "../dialog.tsx";

const TRACE_KEYS: [string, string][] = [
    ["j  k", "next span, previous one; also ↓ ↑"],
    ["Enter", "details of the span; again: close them"],
    ["e  E", "next span in error, previous one"],
    ["f", "find spans by anything they say; Esc leaves the box"],
    ["n  N", "next span found, previous one"],
    ["h  l", "fold what is below the span, unfold it; also ← →"],
    ["Home  End", "first span, last one"],
    ["Esc", "close the details; then back to the list"],
];
const LIST_KEYS: [string, string][] = [
    ["j  k", "next trace, previous one"],
    ["Enter", "open the trace"],
];
const ALL_KEYS: [string, string][] = [
    ["/", "to the box for a trace id"],
    ["?", "this help"],
];
const ATTRIBUTES: [string, string][] = [
    ["http.route=/cart", "of a span or its resource; all must hold on one span"],
    ["event:exception.type=Timeout", "also span: resource: scope: link: any:"],
    ['note="two words"', "in quotes; numbers in quotes are text"],
];

export function Help({ onClose }: { onClose: () => void }) {
    return (
        <Dialog title="Keys and searches" onClose={onClose}>
            <section>
                <h3>In a trace</h3>
                <KeyList rows={TRACE_KEYS} />
                <h3>In the list</h3>
                <KeyList rows={LIST_KEYS} />
                <h3>Everywhere</h3>
                <KeyList rows={ALL_KEYS} />
            </section>
            <section>
                <h3>Attributes of a search</h3>
                <KeyList rows={ATTRIBUTES} />
                <h3>Bars</h3>
                <p>
                    A bar has the colour of its service. A span in error is crimson and says “!”; a
                    folded one says how many errors it hides. “⇄” marks spans whose times were
                    corrected, because the clock of their host was off.
                </p>
            </section>
        </Dialog>
    );
}
