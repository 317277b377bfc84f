// trace.test.mjs - the trace pages in a real browser, with the real collector and spans sent to it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Collector } from "./collector.mjs";
import { eventually, openPage, shotPath, startBrowser } from "./support.mjs";

const MS = 1_000_000n;
const NOW = BigInt(Date.now()) * MS;
const SHOP = "0af7651916cd43dd8448eb211c80319c"; // the trace most tests look at
const OTHER = "4bf92f3577b34da6a3ce929d0e0e4736";
const BIG = "b16b00b5b16b00b5b16b00b5b16b00b5";
const BIG_SPANS = 10_000;
const ELEMENTS_MOST = 1500; // docs/ui.md
const KINDS = { internal: 1, server: 2, client: 3 };

const collector = new Collector();
let browser, page;

const attribute = (key, value) => ({
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
});

/** start and duration in milliseconds, start since the trace began. */
function span(traceId, id, parent, name, kind, start, duration, more = {}) {
    const startNs = NOW - 5000n * MS + BigInt(start) * MS;
    return {
        traceId,
        spanId: id.toString(16).padStart(16, "0"),
        parentSpanId: parent ? parent.toString(16).padStart(16, "0") : "",
        name,
        kind: KINDS[kind],
        startTimeUnixNano: String(startNs),
        endTimeUnixNano: String(startNs + BigInt(duration) * MS),
        ...more,
    };
}

const resource = (service, spans) => ({
    resource: {
        attributes: [
            attribute("service.name", service),
            attribute("service.namespace", "shop"),
            attribute("host.name", `host-of-${service}`),
        ],
    },
    scopeSpans: [{ scope: { name: "test", version: "1.0" }, spans }],
});

const FAILED = { status: { code: 2, message: "no stock" } };
const eventAt = String(NOW - 2940n * MS); // on the clock of cart

// prettier-ignore
const SHOP_SPANS = [
    resource("frontend", [
        span(SHOP, 1, 0, "GET /checkout", "server", 0, 120, { attributes: [attribute("http.route", "/checkout")] }),
        span(SHOP, 2, 1, "cart.get", "client", 10, 60),
        span(SHOP, 5, 1, "render", "internal", 80, 30),
    ]),
    resource("cart", [ // its clock is two seconds ahead
        span(SHOP, 3, 2, "get", "server", 2020, 40, {
            ...FAILED,
            attributes: [attribute("http.response.status_code", 503), attribute("note", "the shelf was empty; ".repeat(25))],
            events: [{ timeUnixNano: eventAt, name: "exception", attributes: [attribute("exception.type", "OutOfStock")] }],
            links: [{ traceId: OTHER, spanId: "00000000000000aa", attributes: [] }],
        }),
        span(SHOP, 4, 3, "SELECT", "client", 2030, 20, { ...FAILED, attributes: [attribute("db.system.name", "postgresql"), attribute("server.address", "stock-db")] }),
    ]),
];

async function send(...resourceSpans) {
    await collector.send("traces", { resourceSpans });
}

const found = (path) => async () =>
    (await collector.json(`/api/v1/traces${path}`)).traces?.length > 0;
const rows = () => page.locator(".span-row");
const current = () => page.locator(".span-row.current").getAttribute("aria-label");
const seen = async (label) => (await label).replaceAll("\u202f", " ");
const param = (name) => new URL(page.url()).searchParams.get(name);
const listed = () =>
    page.locator(".traces tbody tr").evaluateAll((list) => list.map((tr) => tr.dataset.trace));

async function open(path, options) {
    await page?.context().close();
    page = await openPage(browser, collector.base + path, options);
}

async function openShop(more = "", options) {
    await open(`/trace/${SHOP}${more}`, options);
    await rows().first().waitFor();
}

before(async () => {
    browser = await startBrowser();
    await collector.start();
});
after(async () => {
    await browser?.close();
    await collector.remove();
});

test("before any span the list says how to send some", async () => {
    await open("/traces");
    await page.getByText("No traces yet").waitFor();
    assert.deepEqual(page.complaints, []);
    await send(...SHOP_SPANS);
    await send(resource("batch", [span(OTHER, 0xaa, 0, "nightly", "internal", 500, 7)]));
    await eventually(
        "both traces",
        async () => (await collector.json("/api/v1/traces")).traces.length === 2,
    );
});

test("list: every trace with its numbers, newest first; the row leads to it", async () => {
    await open("/traces");
    // By the newest span, and the clock of cart is ahead.
    await eventually("rows", async () => (await listed()).join() === `${SHOP},${OTHER}`);
    const text = await seen(page.locator(`tr[data-trace="${SHOP}"]`).innerText());
    assert.match(text, /frontend GET \/checkout\s+5\s+! 2\s+/);
    assert.match(await page.locator(".more").innerText(), /All 2 there are/);
    await page.screenshot({ path: shotPath("traces-light") });
    for (const key of ["j", "j", "k", "Enter"]) await page.keyboard.press(key);
    await rows().first().waitFor();
    assert.equal(new URL(page.url()).pathname, `/trace/${SHOP}`);
    await page.keyboard.press("Escape");
    await eventually("back in the list", async () => (await listed()).length === 2);
    assert.deepEqual(page.complaints, []);
});

test("list: the form is the address, mistakes are the collector's words, Back undoes", async () => {
    await open("/traces");
    await page.getByLabel("Service", { exact: true }).fill("cart");
    await page.getByLabel("Service", { exact: true }).press("Enter");
    await eventually("one", async () => (await listed()).join() === SHOP);
    assert.equal(param("service"), "cart");
    await page.getByLabel("Status").selectOption("error");
    await eventually("status in the address", async () => param("status") === "error");
    await page.getByLabel("Attributes").fill("event:exception.type=OutOfStock");
    await page.getByRole("button", { name: "Search" }).click();
    await eventually("attribute", async () => param("attr") === "event:exception.type=OutOfStock");
    await eventually("still one", async () => (await listed()).join() === SHOP);
    await page.getByLabel("Attributes").fill("event:exception.type=Timeout");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("No traces match").waitFor();
    await page.getByLabel("At least").fill("long");
    await page.getByLabel("At least").press("Enter");
    await page.getByText("want a duration such as 250ms").waitFor();
    page.complaints = page.complaints.filter((text) => !/status of 400/.test(text));
    for (let i = 0; i < 2; i++) await page.goBack();
    await eventually("as before", async () => (await listed()).join() === SHOP);
    assert.equal(await page.getByLabel("At least").inputValue(), "");
    assert.deepEqual(page.complaints, []);
});

test("list: page by page, each trace once", async () => {
    const ids = Array.from({ length: 25 }, (_, i) => (i + 1).toString(16).padStart(32, "0"));
    await send(
        resource(
            "ticker",
            ids.map((id, i) => span(id, i + 1, 0, "tick", "internal", 1000 + i, 1)),
        ),
    );
    await eventually("the last", found("?service=ticker"));
    await open("/traces?service=ticker&limit=10");
    for (const expected of [10, 20, 25]) {
        await eventually(`${expected} rows`, async () => (await listed()).length === expected);
        const more = page.getByRole("button", { name: "Older traces" });
        if (expected < 25) await more.click();
        else await eventually("no more", async () => (await more.count()) === 0);
    }
    assert.deepEqual(await listed(), ids.toReversed());
});

test("trace: a row for each span, below its caller, and what it is in the head", async () => {
    await openShop();
    const shown = await rows().evaluateAll((list) =>
        list.map((row) => [
            row.getAttribute("aria-level"),
            row.getAttribute("aria-label").replaceAll("\u202f", " "),
        ]),
    );
    assert.deepEqual(shown, [
        ["1", "frontend: GET /checkout, 120 ms, 2 errors below"],
        ["2", "frontend: cart.get, 60 ms, 2 errors below"],
        ["3", "cart: get, 40 ms, error, 1 errors below"],
        ["4", "cart: SELECT, 20 ms, error"],
        ["2", "frontend: render, 30 ms"],
    ]);
    const head = await seen(page.locator(".trace-head").innerText());
    for (const part of [
        "frontend: GET /checkout",
        SHOP,
        "120 ms",
        "5 spans",
        "2 services",
        "2 in error",
        "The times of 2 spans were corrected",
    ])
        assert.ok(head.includes(part), `${part} in ${head}`);
    assert.equal(await page.title(), "frontend: GET /checkout - Tulle");
    const box = await page.locator(".when").nth(1).boundingBox();
    const bar = await page.locator(".bar-of").nth(2).boundingBox(); // cart: get, moved into its caller: 20 to 60 ms
    assert.ok(
        Math.abs((bar.x - box.x) / box.width - 20 / 120) < 0.02,
        "the bar begins where it should",
    );
    assert.ok(Math.abs(bar.width / box.width - 40 / 120) < 0.02, "and is as long");
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "JSON", exact: true }).click();
    assert.equal((await download).suggestedFilename(), `${SHOP}.json`);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy the trace id" }).click();
    await page.getByText("copied").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), SHOP);
    assert.deepEqual(page.complaints, []);
});

test("trace: keys go through spans, errors and folds", async () => {
    await openShop();
    const at = async (text) =>
        eventually(text, async () => (await current()).startsWith(text) || (await current()));
    await page.keyboard.press("j");
    await at("frontend: cart.get");
    await page.keyboard.press("k");
    await page.keyboard.press("k");
    await at("frontend: GET /checkout");
    await page.keyboard.press("e");
    await at("cart: get");
    await page.keyboard.press("e");
    await at("cart: SELECT");
    await page.keyboard.press("e");
    await at("cart: get");
    await page.keyboard.press("E");
    await at("cart: SELECT");
    await page.keyboard.press("h");
    await at("cart: get");
    await page.keyboard.press("h");
    await eventually("folded", async () => (await rows().count()) === 4);
    assert.match(await page.locator(".span-row.current").innerText(), /! 1 inside/);
    await page.keyboard.press("e");
    await eventually("unfolded to show the error", async () => (await rows().count()) === 5);
    await page.keyboard.press("End");
    await at("frontend: render");
    await page.keyboard.press("f");
    await page.keyboard.type("STOCK-DB");
    await page.getByText("1 found").waitFor();
    await page.keyboard.press("Enter");
    await at("cart: SELECT");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Home");
    await page.keyboard.press("n");
    await at("cart: SELECT");
    assert.equal(await page.locator(".span-row.match").count(), 1);
    await page.screenshot({ path: shotPath("trace-found") });
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.screenshot({ path: shotPath("trace-help") });
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("dialog").count(), 0);
    assert.deepEqual(page.complaints, []);
});

test("trace: all that is known of a span, and the way to its edge on the map", async () => {
    await openShop();
    await page.keyboard.press("e");
    await page.keyboard.press("Enter");
    const panel = page.locator(".panel");
    await eventually("edge", async () => (await panel.getByText("On the map").count()) === 1);
    const text = await seen(panel.innerText());
    const parts = [
        "40 ms",
        "20 ms\nafter the start",
        "error",
        "no stock",
        "http.response.status_code",
        "503",
        "exception",
        "after 40 ms",
        "exception.type",
        "OutOfStock",
        OTHER,
        "host-of-cart",
        "frontend",
        "start as sent",
        "2 s earlier",
        "timestamps were adjusted",
        "0000000000000003",
        "test 1.0",
    ];
    for (const part of parts) assert.ok(text.includes(part), `${part} in ${text}`);
    assert.equal(param("span"), "0000000000000003");
    await page.screenshot({ path: shotPath("trace-light") });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: shotPath("trace-dark") });
    await page.emulateMedia({ forcedColors: "active" });
    await page.screenshot({ path: shotPath("trace-forced-colors") });
    await page.emulateMedia({ forcedColors: "none", colorScheme: "light" });
    assert.equal(await page.locator("details").getAttribute("open"), null, "long text is folded");
    const other = panel.getByRole("link", { name: OTHER });
    assert.equal(await other.getAttribute("href"), `/trace/${OTHER}?span=00000000000000aa`);
    await page.keyboard.press("Escape");
    await eventually("closed", async () => (await panel.count()) === 0);
    assert.equal(param("span"), null);
    await page.keyboard.press("Enter");
    await panel.getByRole("link", { name: "frontend → cart" }).click();
    await eventually("the edge on the map", async () => {
        const title = (await page.locator(".panel h2").innerText()).replaceAll(/\s+/g, " ");
        return title === "frontend → cart" || title;
    });
    assert.deepEqual(page.complaints, []);
});

test("trace: the address names the span, also as links to Jaeger's page do", async () => {
    for (const name of ["span", "uiFind"]) {
        await openShop(`?${name}=0000000000000004`);
        assert.match(await current(), /^cart: SELECT/);
        assert.match(await page.locator(".panel h2").innerText(), /SELECT/);
    }
});

test("trace: not there, no id, an id without its zeros", async () => {
    await open("/trace/f00000000000000000000000000000ff");
    await page.getByText("No span of this trace is kept").waitFor();
    await send(
        resource("late", [
            span("f00000000000000000000000000000ff", 1, 0, "late", "internal", 0, 1),
        ]),
    );
    await eventually("arrived", found("?service=late"));
    await page.getByRole("button", { name: "Try again" }).click();
    await rows().first().waitFor();
    await open("/trace/nonsense");
    await page.getByText("This is no trace id").waitFor();
    await open("/trace/19"); // the newest tick
    await rows().first().waitFor();
    assert.match(await page.locator(".trace-head").innerText(), /ticker: tick/);
});

test("a pasted id leads to its trace, anything else to the traces of that service", async () => {
    await openShop();
    // A browser that is slow to paint: keys are heard all the same.
    await page.addInitScript(() => {
        const later = setTimeout;
        window.requestAnimationFrame = (fn) => later(() => fn(performance.now()), 2000);
        window.setTimeout = (fn, ms, ...more) => later(fn, ms < 200 ? 2000 : ms, ...more);
    });
    await page.keyboard.press("/");
    await page.keyboard.type(`00-${OTHER}-00000000000000aa-01`);
    await page.keyboard.press("Enter");
    await page.getByText("batch: nightly").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("cart");
    await page.keyboard.press("Enter");
    await eventually("one", async () => (await listed()).join() === SHOP);
});

test("links made to Jaeger's page: search and trace", async () => {
    const tags = encodeURIComponent('{"error":"true","http.response.status_code":"503"}');
    const start = (NOW - 3_600_000n * MS) / 1000n;
    const end = (NOW + 60_000n * MS) / 1000n;
    await open(
        `/search?service=cart&operation=all&tags=${tags}&start=${start}&end=${end}&limit=20&minDuration=10ms`,
    );
    await eventually(
        "one",
        async () => (await listed()).join() === SHOP || (await listed()).join(),
    );
    assert.equal(new URL(page.url()).pathname, "/traces");
    assert.equal(await page.getByLabel("Status").inputValue(), "error");
    await open(`/search?traceID=${OTHER}`);
    await page.getByText("batch: nightly").waitFor();
    assert.deepEqual(page.complaints, []);
});

test("from an edge of the map to requests of it, and to the trace of one", async () => {
    await eventually(
        "counted",
        async () => (await collector.json("/api/v1/graph?window=5m")).edges.length > 0,
    );
    const { edges } = await collector.json("/api/v1/graph?window=5m");
    const edge = edges.find(
        (e) => e.source.service === "frontend" && e.destination.service === "cart",
    );
    await open(`/?t=5m&sel=edge:${edge.id}`);
    await page.locator(".panel").getByRole("link", { name: "Traces" }).click();
    await page.getByRole("heading", { name: "frontend → cart" }).waitFor();
    await eventually(
        "the failed request",
        async () => (await page.getByText("Failed").count()) === 1,
    );
    await page.screenshot({ path: shotPath("edge-requests") });
    await page.locator(`tr[data-trace="${SHOP}"] a`).first().click();
    await rows().first().waitFor();
    assert.deepEqual(page.complaints, []);
    await open("/traces?edge=00000000000000ff&window=5m");
    await page.getByText("No requests of this edge").waitFor();
});

test("10,000 spans: all reachable, and the document stays small", async () => {
    for (let part = 0; part < 4; part++) {
        const spans = Array.from({ length: BIG_SPANS / 4 }, (_, k) => {
            const i = part * (BIG_SPANS / 4) + k;
            const parent = i === 0 ? 0 : i % 50 === 1 ? 1 : i;
            return span(
                BIG,
                i + 1,
                parent,
                `step ${i}`,
                "internal",
                i % 3000,
                1 + (i % 7),
                i === 9000 ? FAILED : {},
            );
        });
        await send(resource(`worker-${part}`, spans));
    }
    const whole = () => collector.json(`/api/v1/traces/${BIG}`);
    await eventually("all spans", async () => (await whole()).spans?.length === BIG_SPANS);
    await open(`/trace/${BIG}`);
    await rows().first().waitFor();
    const size = () => page.evaluate(() => document.querySelectorAll("*").length);
    assert.ok((await size()) <= ELEMENTS_MOST, `${await size()} elements`);
    assert.equal(
        await page.locator("[role=treegrid]").getAttribute("aria-rowcount"),
        String(BIG_SPANS + 1),
    );
    await page.keyboard.press("e");
    await eventually("the one in error", async () => /step 9000/.test(await current()));
    await page.keyboard.press("End");
    await eventually(
        "the last row",
        async () =>
            (await page.locator(".span-row.current").getAttribute("aria-rowindex")) ===
            String(BIG_SPANS + 1),
    );
    assert.equal(await page.locator(".span-row.current").isVisible(), true);
    for (const share of [0.25, 0.5, 0.75]) {
        await page
            .locator(".waterfall")
            .evaluate((box, share) => box.scrollTo(0, box.scrollHeight * share), share);
        const wanted = Math.round(BIG_SPANS * share);
        await eventually(`rows around ${wanted}`, async () => {
            const there = await rows().evaluateAll((list) =>
                list.map((row) => Number(row.getAttribute("aria-rowindex"))),
            );
            return there.includes(wanted) || there.join();
        });
        assert.ok((await size()) <= ELEMENTS_MOST, `${await size()} elements`);
    }
    await page.screenshot({ path: shotPath("trace-10000") });
    assert.deepEqual(page.complaints, []);
});

test("accessibility tree: every span, field and button has a name", async () => {
    for (const path of [`/trace/${SHOP}?span=0000000000000003`, "/traces"]) {
        await open(path);
        await page.locator(".span-row, .traces tbody tr").first().waitFor();
        const session = await page.context().newCDPSession(page);
        const { nodes } = await session.send("Accessibility.getFullAXTree");
        const roles = ["button", "link", "textbox", "searchbox", "combobox", "treegrid", "table"];
        for (const node of nodes.filter((n) => !n.ignored && roles.includes(n.role?.value)))
            assert.ok(node.name?.value, `a ${node.role.value} without a name on ${path}`);
        const spans = nodes.filter(
            (n) => n.role?.value === "row" && /, \d+\sms/.test(n.name?.value ?? ""),
        );
        if (path !== "/traces") assert.equal(spans.length, 5);
    }
    assert.deepEqual(page.complaints, []);
});
