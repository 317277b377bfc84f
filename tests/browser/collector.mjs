// collector.mjs - the real collector on free ports, for tests of the pages with it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support.mjs";

async function freePorts(n) {
    const servers = [];
    for (let i = 0; i < n; i++) {
        const server = createServer();
        await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
        servers.push(server);
    }
    const found = servers.map((server) => server.address().port);
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    return found;
}

export class Collector {
    #data = mkdtempSync(join(tmpdir(), "tulle-browser-"));
    #ports = null; // kept over a restart
    #process = null;

    get base() {
        return `http://127.0.0.1:${this.#ports[0]}`;
    }

    async start() {
        this.#ports ??= await freePorts(2);
        const [http, otlp] = this.#ports;
        const args = [
            "--data",
            this.#data,
            "--http-port",
            http,
            "--otlp-http-port",
            otlp,
            "--grpc-port",
            0,
        ];
        const program = spawn(process.env.TULLE_COLLECTOR, args.map(String), {
            stdio: ["ignore", "pipe", "pipe"],
        });
        this.#process = program;
        let said = "";
        for (const stream of [program.stdout, program.stderr])
            stream.on("data", (text) => (said += text));
        await eventually("collector ready", async () => {
            if (program.exitCode !== null) throw new Error(`collector ended: ${said}`);
            return (await fetch(`${this.base}/readyz`)).ok;
        });
    }

    async stop() {
        if (!this.#process || this.#process.exitCode !== null) return;
        const ended = new Promise((done) => this.#process.once("exit", done));
        this.#process.kill("SIGTERM");
        await ended;
    }

    async remove() {
        await this.stop();
        rmSync(this.#data, { recursive: true, force: true });
    }

    /** what: "logs" or "traces". */
    async send(what, body) {
        const answer = await fetch(`http://127.0.0.1:${this.#ports[1]}/v1/${what}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
        });
        assert.equal(answer.status, 200, await answer.text());
    }

    async json(path) {
        return (await fetch(this.base + path)).json();
    }

    /** Without a client that unpacks, so that what travels can be weighed. */
    get(path, headers) {
        return new Promise((resolve, reject) => {
            const request = httpRequest(this.base + path, { headers }, (answer) => {
                const parts = [];
                answer.on("data", (part) => parts.push(part));
                answer.on("end", () =>
                    resolve({
                        status: answer.statusCode,
                        headers: answer.headers,
                        body: Buffer.concat(parts),
                    }),
                );
            });
            request.on("error", reject);
            request.end();
        });
    }
}
