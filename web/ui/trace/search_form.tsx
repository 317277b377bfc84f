// search_form.tsx - what to search for. Nothing is asked until Enter, a choice, or the button.
import { useState } from "preact/hooks";
import type { Service } from "./data.ts";
import { attrsFrom, type Search, SEARCH_WINDOWS, textOf } from "./search.ts";

type Fields = Search & { attrText: string };

function Box(props: {
    label: string;
    name: keyof Fields;
    hint: string;
    fields: Fields;
    list?: string;
    onInput: (name: keyof Fields, text: string) => void;
}) {
    const { label, name, hint, fields, list, onInput } = props;
    return (
        <label class={`field ${name}`}>
            <span>{label}</span>
            <input
                value={fields[name] as string}
                name={name}
                placeholder={hint}
                list={list}
                spellcheck={false}
                autocomplete="off"
                onInput={(event) => onInput(name, event.currentTarget.value)}
            />
        </label>
    );
}

function Suggestions({ id, of }: { id: string; of: string[] }) {
    return (
        <datalist id={id}>
            {of.map((name) => (
                <option key={name} value={name} />
            ))}
        </datalist>
    );
}

const STATUS_WORDS: Record<string, string> = {
    "": "any",
    error: "error",
    ok: "ok",
    unset: "unset",
};
const KINDS = ["", "server", "client", "producer", "consumer", "internal"];

export function SearchForm(props: {
    search: Search;
    services: Service[];
    onSearch: (search: Search) => void;
}) {
    const { search, services, onSearch } = props;
    const [fields, setFields] = useState<Fields>({ ...search, attrText: textOf(search.attrs) });
    const set = (name: keyof Fields, text: string) =>
        setFields((old) => ({ ...old, [name]: text }));
    const send = (change: Partial<Search> = {}) => {
        const { attrText, ...rest } = fields;
        const next: Search = { ...rest, attrs: attrsFrom(attrText), ...change };
        for (const name of ["service", "operation", "minDuration", "maxDuration"] as const)
            next[name] = next[name].trim();
        onSearch(next);
    };
    const submit = (event: Event) => {
        event.preventDefault();
        send();
    };
    const known = services.find((one) => one.name === fields.service.trim());
    const operations = [
        ...new Set((known ? [known] : services).flatMap((s) => s.operations.map((o) => o.name))),
    ];
    const box = { fields, onInput: set };
    return (
        <form class="search" aria-label="Search traces" onSubmit={submit}>
            <Box label="Service" name="service" hint="any" list="services" {...box} />
            <Box label="Operation" name="operation" hint="any" list="operations" {...box} />
            <Suggestions id="services" of={services.map((one) => one.name)} />
            <Suggestions id="operations" of={operations.slice(0, 500)} />
            <label class="field">
                <span>Status</span>
                <select
                    value={fields.status}
                    onChange={(event) => send({ status: event.currentTarget.value })}
                >
                    {Object.entries(STATUS_WORDS).map(([value, word]) => (
                        <option key={value} value={value}>
                            {word}
                        </option>
                    ))}
                </select>
            </label>
            <label class="field">
                <span>Kind</span>
                <select
                    value={fields.kind}
                    onChange={(event) => send({ kind: event.currentTarget.value })}
                >
                    {KINDS.map((kind) => (
                        <option key={kind} value={kind}>
                            {kind || "any"}
                        </option>
                    ))}
                </select>
            </label>
            <Box label="At least" name="minDuration" hint="100ms" {...box} />
            <Box label="At most" name="maxDuration" hint="2s" {...box} />
            <Box
                label="Attributes"
                name="attrText"
                hint="http.route=/cart  event:exception.type=Timeout"
                {...box}
            />
            <label class="field">
                <span>Window</span>
                <select
                    value={fields.window}
                    onChange={(event) =>
                        send({ window: event.currentTarget.value, from: "", to: "" })
                    }
                >
                    {!SEARCH_WINDOWS.includes(fields.window) && (
                        <option value={fields.window}>{fields.window || "as in the link"}</option>
                    )}
                    {SEARCH_WINDOWS.map((window) => (
                        <option key={window} value={window}>
                            {window}
                        </option>
                    ))}
                </select>
            </label>
            <button type="submit">Search</button>
        </form>
    );
}
