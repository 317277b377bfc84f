// dialog.tsx - the frame of what opens over a page, and its lists of keys or words.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
    const dialog = useRef<HTMLDialogElement>(null);
    useEffect(() => dialog.current!.showModal(), []);
    return (
        <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={props.onClose}>
            <h2 id="help-title">{props.title}</h2>
            <div class="columns">{props.children}</div>
            <form method="dialog">
                <button type="submit">Close</button>
            </form>
        </dialog>
    );
}

export function KeyList({ rows }: { rows: [string, string][] }) {
    return (
        <dl>
            {rows.map(([term, text]) => (
                <div key={term}>
                    <dt>
                        <kbd>{term}</kbd>
                    </dt>
                    <dd>{text}</dd>
                </div>
            ))}
        </dl>
    );
}
