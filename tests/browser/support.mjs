// support.mjs - what the browser tests share: the browser, a stub of the collector, the modules of
// the page, and where meson put things.
//
// The stub exists for tests of the page alone: it says what a test tells it to, when the test tells
// it to. That the page agrees with the collector is for collector.test.mjs, with the real one.
import { createServer } from "node:http";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const need = (name) => {
    const value = process.env[name];
    if (!value)
        throw new Error(`${name} is not set; run through: meson test -C BUILD --suite browser`);
    return value;
};

export const webDir = () => need("TULLE_WEB_DIR"); // index.html, app.js, app.css, icon.svg
const webPackages = () => need("TULLE_WEB_PACKAGES");

export function shotPath(name) {
    mkdirSync(need("TULLE_SHOTS"), { recursive: true });
    return join(need("TULLE_SHOTS"), `${name}.png`);
}

/** A module of the page, compiled as the page is: loadUi("layout/layout.ts"). */
export async function loadUi(path) {
    const esbuild = createRequire(join(webPackages(), "package.json"))("esbuild");
    const folder = mkdtempSync(join(tmpdir(), "tulle-ui-"));
    const outfile = join(folder, "module.mjs");
    await esbuild.build({
        absWorkingDir: webPackages(),
        entryPoints: [`ui/${path}`],
        outfile,
        bundle: true,
        format: "esm",
        preserveSymlinks: true,
        tsconfig: join(webPackages(), "tsconfig.json"),
        logLevel: "warning",
    });
    const module = await import(pathToFileURL(outfile).href);
    rmSync(folder, { recursive: true });
    return module;
}

export async function startBrowser() {
    const require = createRequire(join(need("TULLE_BROWSER_PACKAGES"), "package.json"));
    const { chromium } = require("playwright-core");
    return chromium.launch({
        executablePath: need("TULLE_CHROMIUM"),
        headless: true,
        args: [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    });
}

/** A page that fails the test on any error or warning the browser has about it. */
export async function openPage(browser, url, options = {}) {
    const context = await browser.newContext({
        viewport: { width: 1440, height: 900 },
        ...options,
    });
    const page = await context.newPage();
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(String(error)));
    page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
    });
    await page.goto(url);
    return page;
}

export const mapIsDrawn = (page) => page.waitForSelector(".map[data-drawn]");

const TYPES = {
    html: "text/html; charset=utf-8",
    js: "text/javascript",
    css: "text/css",
    svg: "image/svg+xml",
};
const CSP = readCsp();

/** The page gets the policy that the collector sends, so a breach shows in these tests too. */
function readCsp() {
    const header = new URL("../../web/assets.h", import.meta.url);
    const define = /#define ASSETS_CSP([^]*?)\n\n/.exec(readFileSync(header, "utf8"))[1];
    return [...define.matchAll(/"([^"]*)"/g)].map((part) => part[1]).join("");
}

export class Stub {
    graph = null; // sent when a stream opens; null: the stream is refused
    history = { points: [] };
    streams = new Set();
    opened = 0; // streams asked for so far

    async start() {
        this.server = createServer((request, answer) => this.#answer(request, answer));
        await new Promise((ready) => this.server.listen(0, "127.0.0.1", ready));
        this.url = `http://127.0.0.1:${this.server.address().port}/`;
        return this;
    }

    async stop() {
        this.dropStreams();
        this.server.closeAllConnections();
        await new Promise((done) => this.server.close(done));
    }

    /** Tells every open page. */
    push(event) {
        for (const stream of this.streams)
            stream.write(`event: graph\ndata: ${JSON.stringify(event)}\n\n`);
    }

    dropStreams() {
        for (const stream of this.streams) stream.destroy();
        this.streams.clear();
    }

    #answer(request, answer) {
        const path = new URL(request.url, this.url).pathname;
        if (path === "/api/v1/live") this.#stream(answer);
        else if (path === "/api/v1/graph" && this.graph) this.#json(answer, this.graph);
        else if (path.endsWith("/history")) this.#json(answer, this.history);
        else this.#file(path, answer);
    }

    #json(answer, value) {
        answer.setHeader("content-type", "application/json");
        answer.end(JSON.stringify(value));
    }

    #stream(answer) {
        this.opened++;
        if (!this.graph) {
            answer.statusCode = 503;
            answer.end();
            return;
        }
        answer.setHeader("content-type", "text/event-stream");
        this.streams.add(answer);
        answer.on("close", () => this.streams.delete(answer));
        answer.write(`event: graph\ndata: ${JSON.stringify({ ...this.graph, full: true })}\n\n`);
    }

    #file(path, answer) {
        const file = join(webDir(), path === "/" ? "index.html" : path);
        if (path.startsWith("/api/") || !existsSync(file)) {
            answer.statusCode = 404;
            answer.end("{}");
            return;
        }
        answer.setHeader("content-type", TYPES[path === "/" ? "html" : path.split(".").at(-1)]);
        answer.setHeader("content-security-policy", CSP);
        answer.end(readFileSync(file));
    }
}

/** Tries until it holds, because a page shows things a little after it was told them. */
export async function eventually(what, check, patienceMs = 10_000) {
    const end = Date.now() + patienceMs;
    for (;;) {
        let seen;
        try {
            seen = await check();
            if (seen === true) return;
        } catch (error) {
            seen = error.message;
        }
        if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(seen)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

export function saveText(name, text) {
    mkdirSync(need("TULLE_SHOTS"), { recursive: true });
    writeFileSync(join(need("TULLE_SHOTS"), name), text);
}
