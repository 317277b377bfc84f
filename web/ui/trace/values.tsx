// values.tsx - attributes as people read them; nothing is cut away for good.
import { Facts } from "../facts.tsx";
import type { Attribute, Value } from "./data.ts";

const LONG = 400; // characters; longer ones open on a click

/** A value as text: `["a",1]`, `{"k":true}`; text alone stands without quotes. */
export function valueText(value: Value, isInside = false): string {
    const list = value.value;
    switch (value.type) {
        case "array":
            return `[${(list as Value[]).map((one) => valueText(one, true)).join(",")}]`;
        case "map":
            return `{${(list as Attribute[])
                .map((one) => `${JSON.stringify(one.key)}:${valueText(one, true)}`)
                .join(",")}}`;
        case "string":
            return isInside ? JSON.stringify(list) : String(list);
        case "empty":
            return isInside ? "null" : "(empty)";
        default:
            return isInside && value.type === "bytes" ? `"${list}"` : String(list);
    }
}

function Text({ text }: { text: string }) {
    if (text.length <= LONG) return <>{text === "" ? "(empty)" : text}</>;
    return (
        <details>
            <summary>{text.slice(0, LONG / 2)}…</summary>
            {text}
        </details>
    );
}

export function Attributes(props: { title: string; of: Attribute[]; dropped: number }) {
    const { title, of, dropped } = props;
    if (of.length === 0 && dropped === 0) return null;
    return (
        <section>
            <h3>{title}</h3>
            <AttributeList of={of} dropped={dropped} />
        </section>
    );
}

export function AttributeList({ of, dropped }: { of: Attribute[]; dropped: number }) {
    return (
        <>
            <Facts
                rows={of.map((one) => [
                    one.key,
                    <span title={one.type}>
                        <Text text={valueText(one)} />
                    </span>,
                ])}
            />
            {dropped > 0 && <p class="note">{dropped} more were dropped by the sender</p>}
        </>
    );
}
