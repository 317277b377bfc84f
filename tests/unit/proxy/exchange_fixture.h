/* exchange_fixture.h - a finished request with every field filled in. */
#ifndef TESTS_EXCHANGE_FIXTURE_H
#define TESTS_EXCHANGE_FIXTURE_H

#include "proxy/telemetry/exchange.h"

static inline struct identity identity_fixture(const char *workload, const char *version)
{
    return (struct identity){ .cluster = SV("demo"),
                              .namespace = SV("default"),
                              .workload = sv_z(workload),
                              .service = SV("reviews"),
                              .version = sv_z(version),
                              .principal = IDENTITY_UNKNOWN };
}

static inline struct exchange exchange_fixture(void)
{
    struct exchange x = {
        .call = { .reporter = REPORTER_SOURCE,
                  .protocol = PROTOCOL_HTTP,
                  .tls = TLS_MUTUAL,
                  .source = identity_fixture("productpage-v1", "v1"),
                  .destination = identity_fixture("reviews-v2", "v2"),
                  .start_ns = INT64_C(1767323045678000000),
                  .duration_ns = 12345678,
                  .bytes_received = 3,
                  .bytes_sent = 295,
                  .response_code = 200,
                  .grpc_status = -1,
                  .response_code_details = SV("via_upstream"),
                  .method = SV("POST"),
                  .path = SV("/reviews/0?a=b"),
                  .authority = SV("reviews:9080"),
                  .route_name = SV("default"),
                  .request_id = SV("8d3a40d5-0000-4000-8000-000000000001"),
                  .user_agent = SV("curl/7 \"x\""),
                  .destination_service = SV("reviews.default.svc.cluster.local"),
                  .upstream_host = SV("127.1.0.7:15006"),
                  .tls_version = SV("TLSv1.3"),
                  .tls_cipher = SV("TLS_AES_128_GCM_SHA256"),
                  .source_principal_seen = SV("spiffe://cluster.local/ns/default/sa/page"),
                  .destination_principal_seen = SV("spiffe://cluster.local/ns/default/sa/reviews"),
                  .peer_cert_expiry_ns = INT64_C(1800000000000000000),
                  .trace_id = { { 1, 2, 3 } },
                  .span_id = { { 4, 5, 6 } } },
        .parent_id = { { 7, 8, 9 } },
        .trace_state = SV("vendor=1"),
        .is_sampled = true,
        .protocol_text = SV("HTTP/1.1"),
        .upstream_cluster = SV("outbound|9080|v2|reviews.default.svc.cluster.local"),
        .downstream_remote_address = SV("127.1.0.3:41000"),
        .downstream_local_address = SV("127.1.0.3:15001"),
        .resends = 2,
        .upstream_service_time_ns = 11000000,
    };
    return x;
}

#endif
