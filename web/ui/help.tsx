// help.tsx - keys, filter language and legend: the dialog behind "?".
import { Dialog, KeyList } from "./dialog.tsx";
import { Legend } from "./map/legend.tsx";

const KEYS: [string, string][] = [
    ["/", "filter"],
    ["?", "this help"],
    ["Esc", "close what is open"],
    ["space", "pause, or continue"],
    ["x", "next edge that fails or degrades"],
    ["T", "tidy up: lay the map out anew"],
    ["+  −  0", "zoom in, out, fit"],
    ["Tab", "into the map, on to the table"],
    ["→  ←", "on the map: follow a call, go back to a caller"],
    ["↑  ↓", "on the map: up and down the column; in the table: rows"],
    ["Enter", "details of the card or row"],
    ["e", "next edge of the focused card"],
    ["f", "only what the focused card talks to"],
];

const FILTERS: [string, string][] = [
    ["cart", "any name contains it; -cart: none does"],
    ["from:cart  to:redis", "one end only"],
    ["ns:shop  service:cart  version:v2", "at either end"],
    ["err>1%  p95>200ms  rate>10", "numbers; also p50, p99 and <"],
    ["mtls:off", "not fully mutual; also on, part, none, unknown"],
    ["protocol:grpc", "by protocol"],
];

export function Help({ onClose }: { onClose: () => void }) {
    return (
        <Dialog title="Keys, filter, legend" onClose={onClose}>
            <section>
                <h3>Keys</h3>
                <KeyList rows={KEYS} />
            </section>
            <section>
                <h3>Filter words, joined by “and”</h3>
                <KeyList rows={FILTERS} />
                <p>
                    “Hide” takes Kiali's expressions, such as <kbd>virtual or rt &gt; 1000</kbd>:
                    the collector leaves those out.
                </p>
                <h3>Lines and locks</h3>
                <Legend />
                <p>
                    A line without a lock is mutual TLS throughout; hover or select it to see its
                    closed lock. The count of such lines is in the bar at the top.
                </p>
            </section>
        </Dialog>
    );
}
