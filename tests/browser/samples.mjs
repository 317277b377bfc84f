// samples.mjs - meshes to lay out and graphs to show, made from fixed seeds.

function randomFrom(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state * 1664525 + 1013904223) >>> 0;
        return state / 4294967296;
    };
}

/** A layered mesh: few services are called by many, 2.5 % of the calls go backwards, 8 % of the
 * services have two versions. */
export function seededMesh(boxesLen, linksLen) {
    const random = randomFrom(boxesLen);
    const layersLen = Math.max(4, Math.round(Math.log2(boxesLen)));
    const layerOf = (i) => Math.floor((i * layersLen) / boxesLen);
    const boxes = [];
    for (let i = 0; i < boxesLen; i++)
        boxes.push({ id: `s${i}`, width: 162, height: random() < 0.08 ? 96 : 46 });
    const links = new Map();
    for (let tries = 0; links.size < linksLen && tries < linksLen * 50; tries++) {
        let to = (Math.floor(boxesLen * random() ** 1.8) * 7919) % boxesLen;
        let from = Math.floor(random() * boxesLen);
        if (layerOf(from) > layerOf(to)) [from, to] = [to, from];
        if (layerOf(from) === layerOf(to)) continue;
        if (random() < 0.025) [from, to] = [to, from];
        links.set(`${from} ${to}`, { from: `s${from}`, to: `s${to}` });
    }
    return { boxes, links: [...links.values()] };
}

const IDS = new Map();
function idOf(text) {
    if (!IDS.has(text)) IDS.set(text, (IDS.size + 1).toString(16).padStart(16, "0"));
    return IDS.get(text);
}

function identity(workload, service, version, principal) {
    const who = { cluster: "demo", namespace: "bookinfo", workload, service, version, principal };
    return { id: idOf(`node ${workload}`), ...who };
}

const spiffe = (name) => `spiffe://cluster.local/ns/bookinfo/sa/${name}`;

// prettier-ignore
const WHO = {
    outside: identity("unknown", "unknown", "unknown", "unknown"),
    gateway: identity("gateway", "gateway", "latest", spiffe("gateway")),
    productpage: identity("productpage-v1", "productpage", "v1", spiffe("productpage")),
    reviews1: identity("reviews-v1", "reviews", "v1", spiffe("reviews")),
    reviews2: identity("reviews-v2", "reviews", "v2", spiffe("reviews")),
    ratings: identity("ratings-v1", "ratings", "v1", spiffe("ratings")),
    legacy: identity("inventory-legacy", "inventory-legacy", "latest", "unknown"),
    database: identity("catalog-db", "catalog-db", "latest", "unknown"),
};
const TYPES = { outside: "unknown", database: "virtual" };

// prettier-ignore
const CALLS = [
    { from: "outside", to: "gateway", requests: 1200, errors: 0, p95: 42, tls: "plaintext", health: "healthy" },
    { from: "gateway", to: "productpage", requests: 1200, errors: 0, p95: 38, tls: "mutual", health: "healthy" },
    { from: "productpage", to: "reviews1", requests: 1080, errors: 0, p95: 9.4, tls: "mutual", health: "healthy" },
    { from: "productpage", to: "reviews2", requests: 120, errors: 12, p95: 61, tls: "mutual", health: "failing" },
    { from: "reviews2", to: "ratings", requests: 120, errors: 2, p95: 19, tls: "mixed", health: "degraded" },
    { from: "productpage", to: "legacy", requests: 300, errors: 0, p95: 7.7, tls: "plaintext", health: "healthy" },
    { from: "ratings", to: "database", requests: 120, errors: 0, p95: 1.3, tls: "unknown", protocol: "tcp", health: "healthy" },
];
const SECONDS = 60;

function edge(call) {
    const { requests, errors, p95 } = call;
    const denied = call.denied ?? 0; // answered 4xx
    const failures = errors + denied;
    const protocol = call.protocol ?? "http";
    const mutual = call.tls === "mutual" ? requests : call.tls === "mixed" ? requests / 4 : 0;
    const plaintext =
        call.tls === "plaintext" ? requests : call.tls === "mixed" ? requests - mutual : 0;
    return {
        id: idOf(`edge ${call.from} ${call.to} ${protocol}`),
        source: WHO[call.from],
        destination: WHO[call.to],
        destinationService: `${WHO[call.to].service}.bookinfo.svc.cluster.local`,
        protocol,
        requests,
        rate: requests / SECONDS,
        errors,
        errorRate: errors / requests,
        failures,
        failureRate: failures / requests,
        codes: { none: 0, "1xx": 0, "2xx": requests - failures, "3xx": 0, "4xx": denied, "5xx": errors },
        grpcCodes: {},
        flags: errors > 0 ? { UF: errors } : {},
        latency: { p50Ms: p95 / 2, p95Ms: p95, p99Ms: p95 * 2, meanMs: p95 / 1.8 },
        serverLatency: null,
        networkLatency: p95 > 50 ? { meanMs: 1.5, p50Ms: 2.5 } : null,
        clock: p95 > 50 ? { verdict: "skewed", offsetMs: -420 } : null,
        tls: {
            state: call.tls,
            mutual,
            tls: 0,
            plaintext,
            unknown: call.tls === "unknown" ? requests : 0,
            version: mutual > 0 ? "TLSv1.3" : null,
            cipher: mutual > 0 ? "TLS_AES_128_GCM_SHA256" : null,
            certificateExpiry: mutual > 0 ? "2100-01-01T00:00:00.000Z" : null,
            confidence: call.tls === "unknown" ? null : "handshake",
            firstPlaintext:
                plaintext > 0
                    ? {
                          time: "2026-01-02T03:04:05.000Z",
                          traceId: "4bf92f3577b34da6a3ce929d0e0e4738",
                      }
                    : null,
            lastPlaintext: plaintext > 0 ? { time: "2026-01-02T03:04:55.000Z", traceId: null } : null,
        },
        bytesReceived: 0,
        bytesSent: requests * 1432,
        openReports: 0,
        received: requests + errors,
        resends: 0,
        evidence: "source",
        evidenceCounts: { source: requests },
        firstSeen: "2026-01-02T03:04:00.000Z",
        lastSeen: "2026-01-02T03:05:00.000Z",
        exemplarTraceId: "4bf92f3577b34da6a3ce929d0e0e4736",
        errorTraceId: errors > 0 ? "4bf92f3577b34da6a3ce929d0e0e4737" : null,
        health: call.health,
    };
}

function node(key, edges) {
    const sum = (end, what) =>
        edges.filter((e) => e[end].id === WHO[key].id).reduce((total, e) => total + e[what], 0);
    const [inRequests, inErrors] = [sum("destination", "requests"), sum("destination", "errors")];
    const [outRequests, outErrors] = [sum("source", "requests"), sum("source", "errors")];
    const inFailures = sum("destination", "failures");
    const outFailures = sum("source", "failures");
    const share = inErrors / (inRequests || 1);
    return {
        ...WHO[key],
        type: TYPES[key] ?? "workload",
        inRequests,
        inRate: inRequests / SECONDS,
        inErrors,
        inErrorRate: share,
        inFailures,
        inFailureRate: inFailures / (inRequests || 1),
        outRequests,
        outRate: outRequests / SECONDS,
        outErrors,
        outErrorRate: outErrors / (outRequests || 1),
        outFailures,
        outFailureRate: outFailures / (outRequests || 1),
        health: share >= 0.1 ? "failing" : inErrors > 0 ? "degraded" : "healthy",
    };
}

/** A small book shop with everything the map can show; change: edges to override, by "from>to". */
export function bookShop(change = {}) {
    const edges = CALLS.map((call) => edge({ ...call, ...change[`${call.from}>${call.to}`] }));
    return {
        from: "2026-01-02T03:04:00.000Z",
        to: "2026-01-02T03:05:00.000Z",
        seconds: SECONDS,
        granularity: "workload",
        nodes: Object.keys(WHO).map((key) => node(key, edges)),
        edges,
    };
}

/** The graph of a seeded mesh, for budgets and big pictures. */
export function seededGraph(nodesLen, linksLen) {
    const random = randomFrom(nodesLen + 1);
    const mesh = seededMesh(nodesLen, linksLen);
    const template = bookShop();
    const who = (id) => ({ ...WHO.gateway, id, workload: id, service: id });
    const edges = mesh.links.map(({ from, to }) => {
        const requests = 1 + Math.floor(random() * 6000);
        const isFailing = random() < 0.05;
        const like = template.edges[1];
        const errors = isFailing ? Math.ceil(requests / 9) : 0;
        const health = isFailing ? "failing" : "healthy";
        const ends = { source: who(from), destination: who(to) };
        const numbers = {
            requests,
            rate: requests / SECONDS,
            errors,
            errorRate: errors / requests,
            failures: errors,
            failureRate: errors / requests,
        };
        return { ...like, id: `${from}-${to}`, ...ends, ...numbers, health };
    });
    const nodes = mesh.boxes.map(({ id }) => ({ ...template.nodes[1], ...who(id) }));
    return { ...template, nodes, edges };
}
