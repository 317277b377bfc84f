// page.test.mjs - the page in a real browser, told what to show by a stub of the collector.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { bookShop, seededGraph } from "./samples.mjs";
import { eventually, mapIsDrawn, openPage, shotPath, startBrowser, Stub } from "./support.mjs";

let browser, stub, page;

before(async () => (browser = await startBrowser()));
after(() => browser.close());
beforeEach(async () => {
    stub = await new Stub().start();
    stub.graph = bookShop();
});
afterEach(async () => {
    await page?.context().close();
    await stub.stop();
});

const open = async (query = "", options = {}) => {
    page = await openPage(browser, stub.url + query, options);
    await mapIsDrawn(page);
    return page;
};
const rows = () => page.locator(".edges tbody tr[data-id]");
const row = (edge) => page.locator(`.edges tr[data-edge="${edge}"]`);
const focused = () =>
    page.evaluate(
        () => document.activeElement.getAttribute("aria-label") ?? document.activeElement.tagName,
    );
const edgeOf = (source, destination) =>
    stub.graph.edges.find(
        (e) => e.source.workload === source && e.destination.workload === destination,
    );

test("table: every edge with its exact numbers", async () => {
    await open();
    assert.equal(await rows().count(), 7);
    const data = await row("productpage-v1>reviews-v2").evaluate((tr) => ({ ...tr.dataset }));
    assert.equal(data.requests, "120");
    assert.equal(data.errors, "12");
    assert.equal(data.tls, "mutual");
    assert.equal(data.p95Ms, "61");
    assert.equal(data.evidence, "source");
    const text = await row("gateway>productpage-v1").innerText();
    assert.match(text, /1,200/);
    assert.deepEqual(page.complaints, []);
});

test("accessibility tree: every card and every edge has a name", async () => {
    await open("?sel=node:demo/bookinfo/reviews");
    const session = await page.context().newCDPSession(page);
    const { nodes } = await session.send("Accessibility.getFullAXTree");
    const named = (role) =>
        nodes
            .filter((n) => !n.ignored && n.role?.value === role)
            .map((n) => (n.name?.value ?? "").replaceAll("\u202f", " "));
    const buttons = named("button");
    assert.ok(!buttons.includes(""), "a button without a name");
    for (const name of ["gateway", "productpage", "ratings", "inventory-legacy", "catalog-db"])
        assert.ok(
            buttons.some((text) => text.startsWith(`${name},`)),
            name,
        );
    const reviews = buttons.find((text) => text.startsWith("reviews, versions v1, v2"));
    assert.match(
        reviews,
        /20 requests a second, 1 % errors, p95 up to 61 ms, calls 1, called by 1/,
    );
    const edges = named("row").filter((text) => text.includes(" to "));
    assert.equal(edges.length, 7);
    assert.ok(
        edges.some((t) =>
            t.startsWith("productpage to reviews v2, 2 requests a second, 10 % errors"),
        ),
    );
    for (const role of ["textbox", "searchbox", "combobox", "link", "image", "separator"])
        assert.ok(!named(role).includes(""), `a ${role} without a name`);
});

test("live: changed edges move the numbers, nothing else moves", async () => {
    await open();
    const place = () =>
        page
            .locator("[data-card]")
            .evaluateAll((cards) => cards.map((c) => `${c.style.left} ${c.style.top}`));
    const before = await place();
    const edge = edgeOf("gateway", "productpage-v1");
    stub.push({ ...stub.graph, full: false, nodes: [], edges: [{ ...edge, requests: 1234 }] });
    await eventually(
        "new count",
        async () => (await row("gateway>productpage-v1").getAttribute("data-requests")) === "1234",
    );
    assert.deepEqual(await place(), before);
    stub.push({ ...stub.graph, full: false, nodes: [], edges: [], removedEdges: [edge.id] });
    await eventually("edge gone", async () => (await rows().count()) === 6);
});

test("a service that appears leaves the others where they are", async () => {
    await open();
    const places = () =>
        page
            .locator("[data-card]")
            .evaluateAll((cards) =>
                Object.fromEntries(
                    cards.map((c) => [c.dataset.card, `${c.style.left} ${c.style.top}`]),
                ),
            );
    const before = await places();
    const from = stub.graph.nodes.find((node) => node.workload === "gateway");
    const added = { ...from, id: "added", workload: "added", service: "added" };
    const edge = { ...stub.graph.edges[1], id: "added edge", source: from, destination: added };
    stub.push({ ...stub.graph, full: false, nodes: [added], edges: [edge] });
    await eventually("new card", async () => (await page.locator("[data-card]").count()) === 8);
    const now = await places();
    for (const id of Object.keys(before)) assert.equal(now[id], before[id], id);
});

test("a lost connection is said, and the stream is taken up again", async () => {
    await open();
    const { graph } = stub;
    stub.graph = null;
    stub.dropStreams();
    await page.getByRole("alert").waitFor();
    assert.match(
        await page.getByRole("alert").innerText(),
        /Connection lost, trying again in \d+ s/,
    );
    assert.equal(await rows().count(), 7, "the last numbers stay");
    stub.graph = graph;
    await eventually(
        "live again",
        async () => (await page.locator(".live").innerText()).trim() === "live",
    );
    assert.equal(await page.getByRole("alert").count(), 0);
});

test("no collector: says so and why; no traffic: says how to send some", async () => {
    stub.graph = null;
    page = await openPage(browser, stub.url);
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").innerText(), /does not answer/);
    stub.graph = { ...bookShop(), nodes: [], edges: [] };
    await page.getByText("No traffic in the last minute").waitFor();
    assert.match(
        await page.locator("main").innerText(),
        /OTEL_EXPORTER_OTLP_ENDPOINT=http:\/\/127\.0\.0\.1:4318/,
    );
    assert.match(await page.locator("main").innerText(), /\.\/dev demo/);
    stub.push({ ...bookShop(), full: true });
    await mapIsDrawn(page);
});

test("keyboard: filter", async () => {
    await open();
    await page.keyboard.press("/");
    await page.keyboard.type("err>1% -gateway");
    await eventually("two rows", async () => (await rows().count()) === 2);
    assert.equal(new URL(page.url()).searchParams.get("q"), "err>1% -gateway");
    await page.keyboard.type(" colour:red");
    await page.getByText("colour: known are").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await eventually("all rows", async () => (await rows().count()) === 7);
});

test("keyboard: along the calls, into the panel and back", async () => {
    await open();
    await page.locator('[data-card="demo/bookinfo/gateway"]').focus();
    await page.keyboard.press("ArrowRight");
    assert.match(await focused(), /^productpage,/);
    await page.keyboard.press("Enter");
    await eventually("focus in the panel", async () => (await focused()) === "H2");
    assert.match(await page.locator(".panel").innerText(), /Called by/);
    await page.keyboard.press("Escape");
    assert.match(await focused(), /^productpage,/);
    assert.equal(await page.locator(".panel").count(), 0);
    await page.keyboard.press("e");
    await page.locator(".panel").waitFor();
    assert.match(await page.locator(".panel h2").innerText(), /^productpage/);
});

test("keyboard: one tab stop in the map, rows of the table, help", async () => {
    await open();
    assert.equal(await page.locator('[data-card][tabindex="0"]').count(), 1);
    await rows().first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator(".panel").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.screenshot({ path: shotPath("help") });
    await page.keyboard.press("Escape");
    await eventually("help closed", async () => (await page.getByRole("dialog").count()) === 0);
});

test("keyboard: x goes from one unhealthy edge to the next", async () => {
    await open();
    const title = async () => (await page.locator(".panel h2").innerText()).replaceAll(/\s+/g, " ");
    await page.keyboard.press("x");
    assert.equal(await title(), "productpage → reviews v2");
    await page.keyboard.press("x");
    assert.equal(await title(), "reviews v2 → ratings");
    await page.keyboard.press("x");
    assert.equal(await title(), "productpage → reviews v2");
});

test("panel: what is known of an edge", async () => {
    stub.history.points = [1, 2, 3].map((rate) => ({
        time: "",
        requests: 10,
        rate,
        errorRate: 0,
        p95Ms: 5,
        evidence: "source",
    }));
    const edge = edgeOf("productpage-v1", "reviews-v2");
    await open(`?sel=edge:${edge.id}`);
    await page.locator(".chart").first().waitFor();
    const text = (await page.locator(".panel").innerText()).replaceAll("\u202f", " ");
    for (const part of [
        "TLSv1.3",
        "TLS_AES_128_GCM_SHA256",
        "spiffe://cluster.local/ns/bookinfo/sa/reviews",
        "UF, connection to the destination failed",
        "p99",
        "122 ms",
        "the caller's proxy",
        "from the handshake itself",
        "420 ms behind",
        "network, mean",
        "arrived there",
        "mutual TLS",
    ])
        assert.ok(text.includes(part), part);
    const links = await page
        .locator(".panel a")
        .evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    assert.deepEqual(links, [
        `/trace/${edge.errorTraceId}`,
        `/trace/${edge.exemplarTraceId}`,
        `/traces?edge=${edge.id}&window=1m`,
    ]);
    assert.deepEqual(page.complaints, []);
});

test("panel: the first and the last plaintext request", async () => {
    const edge = edgeOf("reviews-v2", "ratings-v1");
    await open(`?sel=edge:${edge.id}`);
    await page.locator(".panel .tls").waitFor();
    const first = page.locator(`.panel a[href="/trace/${edge.tls.firstPlaintext.traceId}"]`);
    assert.equal(await first.locator("time").getAttribute("title"), edge.tls.firstPlaintext.time);
    const text = await page.locator(".panel").innerText();
    assert.ok(text.includes("last plaintext"), text);
    await page.screenshot({ path: shotPath("panel-tls") });
    assert.deepEqual(page.complaints, []);
});

test("mTLS count: shows the rest, and all again", async () => {
    await open();
    const chip = page.getByRole("button", { name: /^mTLS/ });
    assert.equal((await chip.innerText()).trim(), "mTLS 3 of 7");
    await chip.click();
    await eventually("the rest", async () => (await rows().count()) === 4);
    assert.equal(await chip.getAttribute("aria-pressed"), "true");
    assert.equal(
        await page.locator("[data-card].faded").count(),
        0,
        "all cards have a line that is not mutual",
    );
    await page.goBack();
    await eventually("all", async () => (await rows().count()) === 7);
});

test("table: sorting by any column, told to screen readers", async () => {
    await open();
    const errors = page.getByRole("button", { name: "Errors", exact: true });
    await errors.click();
    const sorted = page.locator('th[aria-sort="descending"]');
    await eventually("sorted", async () => (await sorted.innerText()) === "Errors ↓");
    const shares = await rows().evaluateAll((all) =>
        all.map((tr) => tr.dataset.errors / tr.dataset.requests),
    );
    assert.deepEqual(
        shares,
        [...shares].sort((a, b) => b - a),
    );
    await page.getByRole("button", { name: "Source", exact: true }).click();
    await eventually(
        "sorted by source",
        async () => (await rows().first().getAttribute("data-edge")) === "gateway>productpage-v1",
    );
});

test("pause closes the stream, and space takes it up", async () => {
    await open();
    await page.keyboard.press("Space");
    await eventually("stream closed", () => stub.streams.size === 0);
    assert.equal((await page.locator(".live").innerText()).trim(), "paused");
    await page.keyboard.press("Space");
    await eventually("stream open", () => stub.streams.size === 1);
    await page.getByLabel("Window").selectOption("15m");
    await eventually("asked anew", () => stub.opened === 3);
    assert.equal(new URL(page.url()).searchParams.get("t"), "15m");
});

test("pointer: a click on a line selects it, a drag moves the map", async () => {
    await open();
    const map = await page.locator(".map").boundingBox();
    const cards = await page
        .locator("[data-card]")
        .evaluateAll((all) =>
            Object.fromEntries(
                all.map((card) => [card.dataset.card, card.getBoundingClientRect().toJSON()]),
            ),
        );
    const [from, to] = [cards["demo/bookinfo/gateway"], cards["demo/bookinfo/productpage"]];
    await page.mouse.click(from.right + 8, from.top + from.height / 2);
    assert.ok(from.right + 8 < to.left);
    await page.locator(".panel").waitFor();
    assert.match(await page.locator(".panel h2").innerText(), /^gateway/);
    const layer = () => page.locator(".layer").evaluate((element) => element.style.transform);
    const before = await layer();
    await page.mouse.move(map.x + 200, map.y + 30);
    await page.mouse.down();
    await page.mouse.move(map.x + 260, map.y + 60, { steps: 4 });
    await page.mouse.up();
    await eventually("moved", async () => (await layer()) !== before);
    assert.equal(await page.locator(".panel").count(), 1, "a drag selects nothing");
});

test("both themes and forced colours", async () => {
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    for (const colorScheme of ["light", "dark"]) {
        await open("", { colorScheme });
        assert.equal(
            await paper(),
            colorScheme === "light" ? "rgb(247, 248, 250)" : "rgb(15, 20, 27)",
        );
        await page.screenshot({ path: shotPath(`map-${colorScheme}`) });
        await page.keyboard.press("x");
        await page.locator(".panel").waitFor();
        await page.screenshot({ path: shotPath(`edge-${colorScheme}`) });
        await page.context().close();
    }
    await open("", { colorScheme: "light" });
    await page.getByRole("button", { name: /^Theme: auto/ }).click();
    await page.getByRole("button", { name: /^Theme: light/ }).click();
    assert.equal(await paper(), "rgb(15, 20, 27)", "dark by choice");
    await page.reload();
    await mapIsDrawn(page);
    assert.equal(await paper(), "rgb(15, 20, 27)", "and it lasts");
    await page.emulateMedia({ forcedColors: "active" });
    await page.screenshot({ path: shotPath("map-forced-colors") });
    assert.deepEqual(page.complaints, []);
});

test("1,000 services: all there, and the document stays small", async () => {
    stub.graph = seededGraph(1000, 1802);
    await open();
    assert.equal(await page.locator("[data-card]").count(), 1000);
    const elements = await page.evaluate(() => document.querySelectorAll("*").length);
    assert.ok(elements <= 3000, `${elements} elements`);
    assert.equal(
        await page.locator(".map").getAttribute("data-drawn"),
        String(stub.graph.edges.length),
    );
    const section = page.locator(".edges");
    await section.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await eventually("last row", async () => {
        const least = Math.min(...stub.graph.edges.map((edge) => edge.requests));
        return (await rows().last().getAttribute("data-requests")) === String(least);
    });
    await page.screenshot({ path: shotPath("map-1000") });
});
