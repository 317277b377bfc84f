// collector.test.mjs - the real collector, told of requests as a sidecar tells it, and the page in a
// real browser showing them: every number on the page must be the number that was sent.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { Collector } from "./collector.mjs";
import { eventually, mapIsDrawn, openPage, shotPath, startBrowser } from "./support.mjs";

const BUDGET_GZIP = 50 * 1024; // docs/ui.md

// prettier-ignore
const TRAFFIC = [
    { from: "gateway", to: "productpage-v1", requests: 37, errors: 0, ms: 30, tls: "mutual" },
    { from: "productpage-v1", to: "reviews-v1", requests: 19, errors: 0, ms: 12, tls: "mutual" },
    { from: "productpage-v1", to: "reviews-v3", requests: 11, errors: 4, ms: 80, tls: "mutual" },
    { from: "productpage-v1", to: "inventory-legacy", requests: 7, errors: 1, ms: 5, tls: "plaintext" },
];

const collector = new Collector();
let browser, page;

const base = () => collector.base;

const version = (workload) => /-(v\d)$/.exec(workload)?.[1] ?? "latest";
const service = (workload) => workload.replace(/-v\d$/, "");

function attribute(key, value) {
    return typeof value === "number"
        ? { key, value: { intValue: String(value) } }
        : { key, value: { stringValue: value } };
}

function side(end, workload) {
    return {
        [`${end}_cluster`]: "demo",
        [`${end}_workload_namespace`]: "bookinfo",
        [`${end}_workload`]: workload,
        [`${end}_canonical_service`]: service(workload),
        [`${end}_canonical_revision`]: version(workload),
    };
}

let recordsMade = 0;

/** What a sidecar sends for one request it made: see include/wire/access_attrs.def. */
function accessRecord(edge, isError) {
    const n = ++recordsMade;
    const attributes = {
        reporter: "source",
        request_protocol: "http",
        tls_state: edge.tls,
        method: "GET",
        path: "/",
        response_code: isError ? (edge.code ?? 503) : 200,
        duration_ns: edge.ms * 1e6,
        bytes_received: 0,
        bytes_sent: 1000,
        ...side("source", edge.from),
        ...side("destination", edge.to),
    };
    if (isError && !edge.code) attributes.response_flags = "UF";
    if (edge.tls === "mutual") {
        attributes.tls_version = "TLSv1.3";
        attributes.tls_cipher = "TLS_AES_128_GCM_SHA256";
        attributes.destination_principal = `spiffe://cluster.local/ns/bookinfo/sa/${service(edge.to)}`;
    }
    return {
        timeUnixNano: `${Date.now()}000000`,
        eventName: "tulle.access",
        traceId: n.toString(16).padStart(32, "0"),
        spanId: n.toString(16).padStart(16, "0"),
        attributes: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
    };
}

async function send(edges) {
    const logRecords = edges.flatMap((edge) =>
        Array.from({ length: edge.requests }, (_, i) => accessRecord(edge, i < edge.errors)),
    );
    await collector.send("logs", {
        resourceLogs: [{ scopeLogs: [{ scope: { name: "tulle-proxy" }, logRecords }] }],
    });
}

const row = (edge) => page.locator(`.edges tr[data-edge="${edge.from}>${edge.to}"]`);

async function assertShown(traffic) {
    for (const edge of traffic)
        await eventually(`${edge.from} to ${edge.to}`, async () => {
            const data = await row(edge).evaluate((tr) => ({ ...tr.dataset }), null, {
                timeout: 1000,
            });
            return (
                (data.requests === String(edge.requests) &&
                    data.errors === String(edge.errors) &&
                    data.tls === edge.tls) ||
                JSON.stringify(data)
            );
        });
}

before(async () => {
    browser = await startBrowser();
    await collector.start();
});
after(async () => {
    await browser?.close();
    await collector.remove();
});

test("before any traffic the page says how to send some", async () => {
    page = await openPage(browser, `${base()}/?t=5m`);
    await page.getByText("No traffic in the last five minutes").waitFor();
    assert.deepEqual(page.complaints, []);
});

test("what was sent appears by itself, with exactly its numbers", async () => {
    await send(TRAFFIC);
    await mapIsDrawn(page);
    await assertShown(TRAFFIC);
    const all = page.locator(".edges tr[data-id]");
    assert.equal(await all.count(), TRAFFIC.length);
    for (const edge of TRAFFIC) {
        const p95 = Number(await row(edge).getAttribute("data-p95-ms"));
        assert.ok(Math.abs(p95 - edge.ms) <= edge.ms * 0.05, `p95 ${p95} for ${edge.ms} ms`);
    }
    assert.equal((await page.locator(".chip").innerText()).trim(), "mTLS 3 of 4");
    assert.equal(
        await page.locator("[data-card]").count(),
        4,
        "two versions of reviews share a card",
    );
    assert.deepEqual(page.complaints, []);
});

test("the page and the API agree on every edge", async () => {
    const { edges } = await (await fetch(`${base()}/api/v1/graph?window=5m`)).json();
    assert.equal(edges.length, TRAFFIC.length);
    for (const edge of edges) {
        const shown = await page
            .locator(`.edges tr[data-id="${edge.id}"]`)
            .evaluate((tr) => ({ ...tr.dataset }));
        assert.equal(shown.requests, String(edge.requests));
        assert.equal(shown.errors, String(edge.errors));
        assert.equal(shown.p95Ms, String(edge.latency.p95Ms));
        assert.equal(shown.p99Ms, String(edge.latency.p99Ms));
        assert.equal(shown.evidence, edge.evidence);
        assert.equal(shown.health, edge.health);
    }
});

test("what is hidden goes from the map and the address, and a mistake is said", async () => {
    const box = page.getByRole("searchbox", { name: "Hide nodes and edges" });
    const all = page.locator(".edges tr[data-id]");
    await box.fill("name = reviews and version = v3");
    await box.press("Enter");
    await eventually("one edge less", async () => (await all.count()) === TRAFFIC.length - 1);
    assert.equal(await row(TRAFFIC[2]).count(), 0);
    assert.equal(new URL(page.url()).searchParams.get("hide"), "name = reviews and version = v3");
    await assertShown([TRAFFIC[0], TRAFFIC[1], TRAFFIC[3]]);
    await box.fill("name ~ reviews");
    await box.press("Enter");
    await eventually("the mistake", async () =>
        /byte \d+/.test(await page.locator("#hide-problem").innerText()),
    );
    assert.equal(await all.count(), TRAFFIC.length - 1, "the picture stays");
    page.complaints = page.complaints.filter((text) => !/status of 400/.test(text));
    await box.fill("ns = bookinfo");
    await box.press("Enter");
    await page.getByText("Nothing is left to show").waitFor();
    await box.fill("");
    await box.press("Enter");
    await box.press("Escape"); // out of the box, so that keys are the page's again
    await mapIsDrawn(page);
    await assertShown(TRAFFIC);
    assert.deepEqual(page.complaints, []);
});

test("the panel shows TLS, codes, flags and one of the failed requests", async () => {
    await page.keyboard.press("x");
    await page.locator(".panel").waitFor();
    await eventually("panel", async () => {
        const text = await page.locator(".panel").innerText();
        const parts = [
            "reviews v3",
            "TLSv1.3",
            "TLS_AES_128_GCM_SHA256",
            "UF, connection to the destination failed",
            "5xx",
        ];
        return parts.find((part) => !text.includes(part)) ?? true;
    });
    await page.screenshot({ path: shotPath("collector-light") });
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: shotPath("collector-dark") });
    await page.emulateMedia({ colorScheme: "light" });
});

test("more traffic moves the numbers while the page is open", async () => {
    const [first] = TRAFFIC;
    await send([{ ...first, requests: 13, errors: 2 }]);
    await assertShown([
        { ...first, requests: first.requests + 13, errors: 2 },
        ...TRAFFIC.slice(1),
    ]);
});

test("requests that were denied: one number in the map, the table, the panel and the API", async () => {
    const denied = { from: "productpage-v1", to: "billing-v1", requests: 10, errors: 3, ms: 9, tls: "mutual", code: 403 };
    await page.keyboard.press("Escape");
    await send([denied]);
    await eventually("the edge", async () => (await row(denied).count()) === 1);
    const { edges } = await (await fetch(`${base()}/api/v1/edges?window=5m&keep=%25err+%3E+29+and+dest.name+%3D+billing`)).json();
    assert.deepEqual(
        edges.map((e) => [e.errors, e.failures, e.failureRate, e.codes["4xx"], e.health]),
        [[0, 3, 0.3, 3, "failing"]],
    );
    assert.match(await row(denied).getAttribute("class"), /failing/);
    assert.match(await row(denied).innerText(), /\t30\s%\t/);
    assert.match(await row(denied).getAttribute("aria-label"), /30\s% errors/);
    await mapIsDrawn(page);
    await row(denied).click();
    await eventually("panel", async () => {
        const text = await page.locator(".panel").innerText();
        return (/30\s%\s*errors/.test(text) && text.includes("3, all HTTP 4xx")) || text;
    });
    assert.match(await page.locator(".panel .numbers .failing").innerText(), /30\s%/);
    await page.screenshot({ path: shotPath("collector-denied") });
    await page.keyboard.press("Escape");
    const box = page.getByRole("searchbox", { name: "Filter" }).first();
    await box.fill("err>29% to:billing");
    await eventually("the filter means the same", async () => (await page.locator(".edges tr[data-id]").count()) === 1);
    await box.fill("");
    await box.press("Escape");
    assert.deepEqual(page.complaints, []);
});

test("a collector that goes away and comes back is noticed, and nothing is missing", async () => {
    await collector.stop();
    await page.getByText("Connection lost").waitFor();
    await collector.start();
    await page.getByText("Connection lost").waitFor({ state: "detached" });
    const [first] = TRAFFIC;
    await assertShown([
        { ...first, requests: first.requests + 13, errors: 2 },
        ...TRAFFIC.slice(1),
    ]);
});

for (const path of ["/", "/traces"])
    test(`files of ${path}: compressed, cached for as long as is right, within the budget`, async () => {
        const packed = { "accept-encoding": "gzip" };
        const page = await collector.get(path, packed);
        assert.equal(page.headers["content-encoding"], "gzip");
        assert.match(page.headers["content-security-policy"], /default-src 'none'/);
        const html = gunzipSync(page.body).toString();
        const plain = (await collector.get(path, {})).body.toString();
        assert.equal(plain, html, "also for clients without gzip");
        let total = page.body.length;
        const links = html.matchAll(/(?:src|href)="(\/[^"/]+\.(?:js|css|svg))"/g);
        const files = [...links].map((m) => m[1]);
        assert.equal(files.length, 3);
        for (const name of files) {
            const file = await collector.get(name, packed);
            assert.equal(file.status, 200, name);
            assert.match(file.headers["cache-control"], /immutable/);
            total += file.body.length;
        }
        const etag = page.headers.etag;
        const again = await collector.get(path, { ...packed, "if-none-match": etag });
        assert.equal(again.status, 304);
        assert.match(page.headers["cache-control"], /no-cache/);
        assert.ok(total <= BUDGET_GZIP, `${total} bytes travel`);
        console.log(`the page at ${path} is ${total} bytes`);
    });
