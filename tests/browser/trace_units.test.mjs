// trace_units.test.mjs - the pure parts of the trace pages: rows, folding, searches, ids, edges.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bookShop } from "./samples.mjs";
import { loadUi } from "./support.mjs";

let tree, find, search, edgesOf, values;

before(async () => {
    tree = await loadUi("trace/tree.ts");
    find = await loadUi("trace/find.ts");
    search = await loadUi("trace/search.ts");
    edgesOf = (await loadUi("trace/edges_of.ts")).edgesOf;
    values = await loadUi("trace/values.tsx");
});

const START = 1767323045678000000n;

/** "id parent start" for each span; start in milliseconds. */
function traceOf(...texts) {
    const spans = texts.map((text) => {
        const [spanId, parentId, start, status = "unset", service = "a", kind = "internal"] =
            text.split(" ");
        const startNs = String(START + BigInt(start) * 1000000n);
        return {
            spanId,
            parentId: parentId === "-" ? null : parentId,
            startNs,
            durationMs: 1,
            name: spanId,
            service,
            kind,
            status,
            movedNs: "0",
            attributes: [],
            events: [],
            statusMessage: "",
        };
    });
    return { startNs: String(START), durationMs: 10, spans };
}
const shape = (rows) => rows.map((row) => `${"  ".repeat(row.depth)}${row.span.spanId}`);

// prettier-ignore
const TREES = [
    ["nothing", [], []],
    ["children by start, wherever they stand", ["a - 0", "c a 5", "b a 2", "d b 3"], ["a", "  b", "    d", "  c"]],
    ["no parent there", ["a x 0", "b y 1", "c b 2"], ["a", "b", "  c"]],
    ["its own parent", ["a a 0", "b a 1"], ["a", "  b"]],
    ["a circle", ["r - 0", "a c 1", "b a 2", "c b 3"], ["r", "a", "  b", "    c"]],
    ["one id twice: the first is the parent", ["a - 0", "a - 1", "b a 2"], ["a", "  b", "a"]],
];

test("spans as rows", () => {
    for (const [name, spans, expected] of TREES)
        assert.deepEqual(shape(tree.treeOf(traceOf(...spans)).rows), expected, name);
});

test("a trace as deep as it is long needs no stack", () => {
    const spans = Array.from({ length: 50_000 }, (_, i) => `s${i} ${i ? `s${i - 1}` : "-"} ${i}`);
    const { rows } = tree.treeOf(traceOf(...spans));
    assert.equal(rows.at(-1).depth, 49_999);
    assert.equal(rows[0].end, 50_000);
});

test("times are exact to the nanosecond, whatever the year", () => {
    assert.equal(tree.betweenMs("1767323045678000001", "1767323045678000002"), 1e-6);
    assert.equal(tree.betweenMs("1767323045678000000", "1767323045676500000"), -1.5);
});

test("folding hides what is below, errors are found round the end and through folds", () => {
    const t = tree.treeOf(traceOf("a - 0", "b a 1", "c b 2 error", "d a 3", "e - 4 error"));
    assert.deepEqual([t.errors, t.rows[0].errorsBelow, t.rows[1].errorsBelow], [2, 1, 1]);
    assert.deepEqual(shape(tree.visibleRows(t, new Set([1]))), ["a", "  b", "  d", "e"]);
    assert.deepEqual(shape(tree.visibleRows(t, new Set([0, 1]))), ["a", "e"]);
    assert.deepEqual([...tree.unfoldedTo(t, new Set([0, 1, 3]), 2)], [3]);
    const isError = (row) => row.isError;
    const next = (at, step) => tree.nextWhere(t, at, step, isError);
    assert.deepEqual([next(0, 1), next(2, 1), next(4, 1)], [2, 4, 2]);
    assert.deepEqual([next(4, -1), next(2, -1), next(0, -1)], [2, 4, 4]);
    assert.equal(tree.nextWhere(tree.treeOf(traceOf("a - 0")), 0, 1, isError), -1);
});

test("spans are found by whatever they say, in either case", () => {
    const trace = traceOf("a - 0 unset cart server", "b a 1 error stock", "c a 2");
    trace.spans[1].statusMessage = "Out of stock";
    trace.spans[2].attributes.push({
        key: "Region",
        type: "array",
        value: [{ type: "string", value: "north" }],
    });
    trace.spans[2].events.push({
        name: "Retry",
        attributes: [{ key: "n", type: "int", value: "7" }],
    });
    const t = tree.treeOf(trace);
    const places = (words) => [...find.found(t, words)];
    assert.deepEqual(
        ["", " ", "CART", "of STOCK", "stock", "region=", "north", "retry", "n=7", "nobody"].map(
            places,
        ),
        [[], [], [0], [1], [1], [2], [2], [2], [2], []],
    );
});

const ID = "0af7651916cd43dd8448eb211c80319c";
// prettier-ignore
const PASTED = [
    [ID, ID], [` ${ID.toUpperCase()}\n`, ID], [`00-${ID}-00f067aa0ba902b7-01`, ID],
    [`http://jaeger:16686/trace/${ID}?uiFind=x`, ID], ["0af76519-16cd-43dd-8448-eb211c80319c", ID],
    ["8448eb211c80319c", `0000000000000000${"8448eb211c80319c"}`],
    ["cart", null], ["deadbeef", null], ["", null], [`${ID}0`, null], ["12", null],
];

test("a trace id in what was pasted", () => {
    for (const [text, id] of PASTED) assert.equal(search.traceIdIn(text), id, text);
});

test("a search and its address are one", () => {
    const query =
        "service=cart&status=error&minDuration=100ms&window=6h&attr=a%3Db&attr=c%3D%22d+e%22";
    assert.equal(search.queryOf(search.searchFrom(query)), query);
    assert.equal(search.queryOf(search.searchFrom("")), "window=1h");
    assert.equal(search.queryOf(search.searchFrom("from=1&to=2&colour=red")), "from=1&to=2");
    assert.deepEqual(search.attrsFrom('a=1  b="two words" sampled c="x\\"y"'), [
        "a=1",
        'b="two words"',
        "sampled=true",
        'c="x\\"y"',
    ]);
});

// prettier-ignore
const JAEGERS = [
    ["", "/traces?window=1h"],
    ["service=cart&operation=all&limit=5000&lookback=2h", "/traces?service=cart&window=2h&limit=1000"],
    ["service=cart&lookback=custom&start=1767323045678000&end=1767323055678000&minDuration=1.5s", "/traces?service=cart&minDuration=1.5s&from=1767323045678000&to=1767323055678000"],
    ['tags={"error":"true","http.status_code":"503"}', "/traces?status=error&window=1h&attr=any%3Ahttp.status_code%3D503"],
    ['tags=span.kind=server path="/a b"', "/traces?kind=server&window=1h&attr=any%3Apath%3D%22%2Fa+b%22"],
    ["tag=error:true&tag=a:b:c", "/traces?status=error&window=1h&attr=any%3Aa%3Db%3Ac"],
    [`traceID=${ID}`, `/trace/${ID}`],
];

test("links made to Jaeger's search", () => {
    for (const [query, address] of JAEGERS)
        assert.equal(search.addressFromJaeger(query), address, query);
});

test("a span is part of the edges that its service and the other side make", () => {
    const { edges } = bookShop();
    const t = tree.treeOf(
        traceOf(
            "g - 0 unset gateway.bookinfo server",
            "gc g 1 unset gateway.bookinfo client",
            "p gc 2 unset productpage server",
            "pc p 3 unset productpage client",
            "r pc 4 unset reviews.bookinfo server",
            "rc r 5 unset reviews.bookinfo client",
            "x p 6 unset productpage client",
            "i p 7 unset productpage internal",
        ),
    );
    const named = (at) =>
        edgesOf(t, t.rows[at], edges).map((e) => `${e.source.workload}>${e.destination.workload}`);
    assert.deepEqual(named(0), ["unknown>gateway"]);
    assert.deepEqual(named(1), ["gateway>productpage-v1"]);
    assert.deepEqual(named(2), ["gateway>productpage-v1"]);
    assert.deepEqual(named(3), ["productpage-v1>reviews-v1", "productpage-v1>reviews-v2"]);
    assert.deepEqual(named(5), ["reviews-v2>ratings-v1"], "the only one it can be");
    assert.deepEqual(named(6), [], "one of three: no guess");
    t.rows[6].span.attributes.push({
        key: "server.address",
        type: "string",
        value: "inventory-legacy",
    });
    assert.deepEqual(named(6), ["productpage-v1>inventory-legacy"]);
    assert.deepEqual(named(7), []);
});

test("attribute values as text", () => {
    const list = {
        type: "array",
        value: [
            { type: "string", value: 'a"' },
            { type: "int", value: "9007199254740993" },
            { type: "empty" },
        ],
    };
    assert.equal(values.valueText(list), '["a\\"",9007199254740993,null]');
    const map = {
        type: "map",
        value: [
            { key: "k", type: "bool", value: true },
            { key: "b", type: "bytes", value: "AAE=" },
        ],
    };
    assert.equal(values.valueText(map), '{"k":true,"b":"AAE="}');
    assert.equal(values.valueText({ type: "string", value: "plain" }), "plain");
    assert.equal(values.valueText({ type: "double", value: "NaN" }), "NaN");
});
