// units.test.mjs - the pure parts of the page: numbers, filter, address, events, cards, camera.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bookShop } from "./samples.mjs";
import { loadUi } from "./support.mjs";

let format, filter, url, api, mesh, view, style, walk, layout;

before(async () => {
    format = await loadUi("format.ts");
    filter = await loadUi("filter.ts");
    url = await loadUi("url.ts");
    api = await loadUi("api.ts");
    mesh = await loadUi("mesh.ts");
    view = await loadUi("map/view.ts");
    style = await loadUi("map/style.ts");
    walk = await loadUi("map/walk.ts");
    layout = await loadUi("layout/layout.ts");
});

const spaced = (text) => text.replaceAll("\u202f", " ");

// prettier-ignore
const NUMBERS = [
    ["rate", 0, "0/s"], ["rate", 0.004, "<1/min"], ["rate", 0.05, "3/min"], ["rate", 0.2, "0.2/s"],
    ["rate", 1.94, "1.9/s"], ["rate", 9.96, "10/s"], ["rate", 812.4, "812/s"], ["rate", 12_340, "12k/s"], ["rate", 1_200_000, "1.2M/s"],
    ["latency", 0, "0 ms"], ["latency", 0.042, "42 µs"], ["latency", 0.4, "0.4 ms"], ["latency", 34.2, "34 ms"],
    ["latency", 999.4, "999 ms"], ["latency", 999.6, "1 s"], ["latency", 1234, "1.2 s"],
    ["percent", 0, "0 %"], ["percent", 0.00001, "<0.01 %"], ["percent", 0.0004, "0.04 %"], ["percent", 0.011, "1.1 %"],
    ["percent", 0.314, "31 %"], ["percent", 0.996, "99.6 %"], ["percent", 0.99999, ">99.9 %"], ["percent", 1, "100 %"],
    ["bytes", 0, "0 B"], ["bytes", 999, "999 B"], ["bytes", 1432, "1.4 kB"], ["bytes", 5_000_000, "5 MB"],
    ["count", 0, "0"], ["count", 999, "999"], ["count", 1234567, "1,234,567"],
];

test("numbers as people read them", () => {
    for (const [name, value, text] of NUMBERS)
        assert.equal(spaced(format[name](value)), text, `${name}(${value})`);
});

test("times in words", () => {
    const now = Date.parse("2026-01-02T00:00:00Z");
    assert.equal(format.when(now + 23 * 86_400_000, now), "in 23 days");
    assert.equal(format.when(now - 3_000, now), "3 seconds ago");
    assert.equal(format.when(now - 60_000, now), "1 minute ago");
    assert.equal(format.when(now, now), "now");
});

// prettier-ignore
const QUERIES = [
    ["", 7], ["reviews", 3], ["-reviews", 4], ["from:productpage", 3], ["to:reviews", 2], ["version:v2", 2],
    ["service:ratings", 2], ["ns:bookinfo", 7], ["ns:shop", 0], ["protocol:tcp", 1],
    ["err>1%", 2], ["err>5", 1], ["err<1%", 5], ["p95>20ms", 3], ["p95>0.02s", 3], ["rate>10", 3],
    ["mtls:on", 3], ["mtls:off", 4], ["mtls:none", 2], ["mtls:part", 1], ["mtls:unknown", 1], ["-mtls:on", 4],
    ["REVIEWS err>5%", 1],
];

test("filter words", () => {
    const { edges } = bookShop();
    for (const [text, expected] of QUERIES) {
        const query = filter.parseQuery(text);
        assert.deepEqual(query.problems, [], text);
        assert.equal(edges.filter(query.matches).length, expected, text);
    }
});

test("filter words that mean nothing are named, and the rest holds", () => {
    const query = filter.parseQuery("reviews colour:red p77>1ms err>many mtls:maybe");
    assert.equal(query.problems.length, 4);
    assert.equal(bookShop().edges.filter(query.matches).length, 3);
    assert.equal(filter.toggleWord("a mtls:off b", "mtls:off"), "a b");
    assert.equal(filter.toggleWord("a", "mtls:off"), "a mtls:off");
});

test("the view survives the way through the address", () => {
    const views = [
        { window: "1m", query: "", hide: "", selection: null, label: "auto" },
        {
            window: "1h",
            query: "err>1% -redis",
            hide: "virtual or (ns = a & b)",
            selection: { kind: "node", id: "demo/shop/cart & co" },
            label: "p99",
        },
        { window: "5m", query: "", hide: "", selection: { kind: "edge", id: "9d4c" }, label: "tls" },
    ];
    for (const each of views) assert.deepEqual(url.viewOf(url.searchOf(each)), each);
    assert.deepEqual(url.viewOf("?t=9y&sel=nonsense&label=loud"), views[0]);
});

test("a partial event replaces, adds and removes", () => {
    const whole = bookShop();
    const [first, second] = whole.edges;
    const part = {
        ...whole,
        full: false,
        seconds: 120,
        nodes: [],
        edges: [
            { ...first, requests: 2400 },
            { ...second, id: "new" },
        ],
        removedEdges: [second.id],
    };
    const next = api.applyEvent(whole, part);
    const byId = new Map(next.edges.map((edge) => [edge.id, edge]));
    assert.equal(byId.get(first.id).requests, 2400);
    assert.equal(byId.get(first.id).rate, 20, "rates follow the event's seconds");
    assert.ok(byId.has("new") && !byId.has(second.id));
    assert.equal(next.edges.length, whole.edges.length);
    assert.equal(api.applyEvent(null, part), null, "a part needs a whole");
});

test("versions of one service share a card; every edge is one line", () => {
    const shop = mesh.meshOf(bookShop());
    assert.equal(shop.cards.size, 7);
    const reviews = shop.cards.get("demo/bookinfo/reviews");
    assert.deepEqual(
        reviews.rows.map((row) => [row.label, row.share]),
        [
            ["v1", 0.9],
            ["v2", 0.1],
        ],
    );
    assert.equal(reviews.health, "failing");
    assert.equal(shop.lines.length, 7);
    assert.equal(shop.mutualLines, 3);
    assert.equal(shop.cards.get("demo/bookinfo/gateway").isEntry, true);
    const sentences = shop.lines.map((line) => spaced(mesh.lineSentence(line)));
    assert.ok(
        sentences.includes(
            "productpage to reviews v2, 2 requests a second, 10 % errors, p95 61 ms, mutual TLS",
        ),
    );
    assert.ok(
        sentences.includes(
            "reviews v2 to ratings, 2 requests a second, 1.7 % errors, p95 19 ms, mutual TLS on 25 % of requests",
        ),
    );
    assert.equal(new Set(shop.lines.map((line) => line.name)).size, 7);
});

/** The edge to inventory-legacy with other numbers. */
function lineOfChanged(change) {
    const shop = mesh.meshOf(bookShop({ "productpage>legacy": { tls: "mutual", ...change } }));
    return shop.lines.find((l) => l.name === "productpage to inventory-legacy").edge;
}

test("a line has colour, dash and words for its state", () => {
    const byName = new Map(mesh.meshOf(bookShop()).lines.map((line) => [line.name, line.edge]));
    const failing = byName.get("productpage to reviews v2");
    assert.deepEqual(style.lineStyle(failing).dash, [4, 3]);
    assert.equal(style.lineStyle(failing).tone, "bad");
    assert.equal(spaced(style.labelTexts(failing, "auto")[0]), "10 % · 2/s · 61 ms");
    const denied = lineOfChanged({ denied: 30, health: "degraded" });
    assert.equal(spaced(style.labelTexts(denied, "auto")[0]), "10 % · 5/s · 7.7 ms");
    assert.equal(mesh.failureWords(denied), "30, all HTTP 4xx");
    assert.equal(
        mesh.failureWords(lineOfChanged({ denied: 30, errors: 2 })),
        "32, 30 of them HTTP 4xx",
    );
    assert.equal(mesh.failureWords(failing), "12");
    assert.equal(style.lockOf(failing, false), "none");
    assert.equal(style.lockOf(failing, true), "closed");
    assert.equal(style.lockOf(byName.get("productpage to inventory-legacy"), false), "open");
    assert.equal(style.lockOf(byName.get("reviews v2 to ratings"), false), "half");
    assert.equal(style.lockOf(byName.get("ratings to catalog-db"), false), "unknown");
    assert.match(style.labelTexts(byName.get("ratings to catalog-db"), "rate")[0], /kB\/s$/);
});

test("arrow keys follow the calls and find back", () => {
    const shop = mesh.meshOf(bookShop());
    const picture = layout.layOut([...shop.cards.values()], shop.lines);
    const at = (name) => `demo/bookinfo/${name}`;
    assert.equal(walk.step(shop, picture, at("gateway"), "right"), at("productpage"));
    assert.equal(walk.step(shop, picture, at("productpage"), "left"), at("gateway"));
    assert.equal(walk.step(shop, picture, at("catalog-db"), "right"), null);
    const column = [
        walk.step(shop, picture, at("reviews"), "up"),
        walk.step(shop, picture, at("reviews"), "down"),
    ];
    assert.ok(column.includes(at("inventory-legacy")));
    assert.deepEqual(
        walk.unhealthy(shop).map((line) => line.name),
        ["productpage to reviews v2", "reviews v2 to ratings"],
    );
});

test("camera: zooming keeps the place under the pointer, fitting shows all", () => {
    const camera = { zoom: 0.7, x: 30, y: -12 };
    const before = view.toMap(camera, 200, 100);
    const after = view.toMap(view.zoomAt(camera, 1.7, 200, 100), 200, 100);
    assert.ok(Math.hypot(before.x - after.x, before.y - after.y) < 1e-9);
    const bounds = { left: -100, top: 0, right: 3000, bottom: 900 };
    const size = { width: 1200, height: 500 };
    assert.ok(view.contains(view.visible(view.fit(bounds, size), size), bounds));
    const box = { left: 2900, top: 0, right: 3000, bottom: 50 };
    const moved = view.reveal({ zoom: 1, x: 0, y: 0 }, box, size);
    assert.ok(view.contains(view.visible(moved, size), box));
});
