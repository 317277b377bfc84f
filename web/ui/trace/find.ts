// find.ts - spans by anything they say. Pure.
//
// The texts of a trace are made once, when somebody first looks for something.
import type { Row, Tree } from "./tree.ts";

const textsOf = new WeakMap<Tree, string[]>();

/** What a row is found by: names, ids, status and attributes of the span and its events. */
function textOf({ span }: Row): string {
    const attributes = [span, ...span.events].flatMap((one) =>
        one.attributes.map(
            ({ key, value }) =>
                `${key}=${typeof value === "object" ? JSON.stringify(value) : value}`,
        ),
    );
    const names = [span.service, span.name, span.kind, span.spanId, span.statusMessage];
    return [...names, ...span.events.map((event) => event.name), ...attributes]
        .join("\n")
        .toLowerCase();
}

/** The places of the rows that say something, in either case; of none when it is empty. */
export function found(tree: Tree, words: string): Set<number> {
    const wanted = words.trim().toLowerCase();
    if (!wanted) return new Set();
    const texts = textsOf.get(tree) ?? tree.rows.map(textOf);
    textsOf.set(tree, texts);
    return new Set(tree.rows.filter((row) => texts[row.at]!.includes(wanted)).map((row) => row.at));
}
