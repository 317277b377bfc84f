// send.js URL proto|json|grpc - a server span and a client span below it, by the real SDK. Prints their ids.
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import { NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

const [url, protocol] = process.argv.slice(2);
const failures = [];
const inner = new { proto: Proto, json: Json, grpc: Grpc }[protocol]({ url });
// The SDK swallows an export's failure; a test must not.
const exporter = {
    export: (spans, done) =>
        inner.export(spans, (result) => {
            if (result.code !== 0) failures.push(result.error ?? new Error("export failed"));
            done(result);
        }),
    shutdown: () => inner.shutdown(),
    forceFlush: () => inner.forceFlush?.() ?? Promise.resolve(),
};
const provider = new NodeTracerProvider({
    resource: defaultResource().merge(
        resourceFromAttributes({ "service.name": `cart-${protocol}`, "service.version": "7" }),
    ),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
});
const tracer = provider.getTracer("shop", "1.2.3");
const linked = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };
const server = tracer.startSpan("GET /cart", {
    kind: SpanKind.SERVER,
    attributes: {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "app.ratio": 0.25,
        "app.is_vip": true,
        "app.items": ["a", "b"],
        "app.text": 'grüße, 世界 " \\ \n',
    },
    links: [{ context: linked }],
});
const client = tracer.startSpan(
    "GET /prices",
    { kind: SpanKind.CLIENT, attributes: { "server.address": "prices" } },
    trace.setSpan(context.active(), server),
);
client.recordException(new Error("gone"));
client.setStatus({ code: SpanStatusCode.ERROR, message: "price list is gone" });
client.end();
server.setStatus({ code: SpanStatusCode.OK });
server.end();
await provider.forceFlush();
await provider.shutdown();
if (failures.length) {
    console.error(String(failures[0]));
    process.exit(1);
}
console.log(
    JSON.stringify({ traceId: server.spanContext().traceId, serverSpanId: server.spanContext().spanId }),
);
