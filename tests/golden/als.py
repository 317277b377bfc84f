"""Writes tests/corpus/envoy_als/istio-*: messages of Envoy's access log service as sidecars of Istio send them.

They are made with the classes that protoc makes from Envoy's own .proto files, so that field numbers and
types are not ours: `pip install xds-protos` (1.85.0 made the files that are there), then

    python3 tests/golden/als.py tests/corpus/envoy_als

test_envoy_als_golden.c says what is in them.
"""
import os
import sys

from envoy.data.accesslog.v3 import accesslog_pb2 as log
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf import any_pb2, struct_pb2

STARTED = (1767323045, 678901234)  # 2026-01-02T03:04:05.678901234Z
CLIENT = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
SERVER = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"


def metadata(pod, workload, app, version):
    labels = {"app": app, "version": version, "pod-template-hash": "545db77b95",
              "service.istio.io/canonical-name": app, "service.istio.io/canonical-revision": version}
    s = struct_pb2.Struct()
    s.update({"NAME": pod, "NAMESPACE": "default", "WORKLOAD_NAME": workload, "CLUSTER_ID": "Kubernetes",
              "SERVICE_ACCOUNT": "bookinfo-" + app, "MESH_ID": "cluster.local", "LABELS": labels,
              "PROXY_CONFIG": {"concurrency": 2, "tracing": {"sampling": 1.5}}, "APP_CONTAINERS": [app]})
    return s


def peer(to, s):
    any_pb = any_pb2.Any()
    any_pb.Pack(s)
    to.CopyFrom(any_pb)


def peer_state(pod, workload, app, version):
    """As the object of Istio's peer metadata filters serializes itself."""
    s = struct_pb2.Struct()
    s.update({"type": "deployment", "workload": workload, "name": pod, "cluster": "Kubernetes", "namespace": "default",
              "service": app, "revision": version, "app": app, "version": version})
    return s


def message(name, pod, ip, workload, app, version):
    m = als_pb2.StreamAccessLogsMessage()
    m.identifier.log_name = name
    node = m.identifier.node
    node.id = f"sidecar~{ip}~{pod}.default~default.svc.cluster.local"
    node.cluster = f"{app}.default"
    node.metadata.CopyFrom(metadata(pod, workload, app, version))
    node.user_agent_name = "envoy"
    node.user_agent_build_version.version.major_number = 1
    node.locality.region = "eu-west-1"
    return m


def reviews(name):
    return message(name, "reviews-v2-545db77b95-wjtlq", "10.44.1.27", "reviews-v2", "reviews", "v2")


def productpage(name):
    return message(name, "productpage-v1-6b746f74dc-9rlmh", "10.44.1.23", "productpage-v1", "productpage", "v1")


def address(to, ip, port):
    to.socket_address.address = ip
    to.socket_address.port_value = port


def common(c, cluster, kind, remote, local, upstream_remote=None, upstream_local=None):
    c.start_time.seconds, c.start_time.nanos = STARTED
    c.duration.nanos = 12_345_678
    c.time_to_last_downstream_tx_byte.nanos = 11_000_000
    c.time_to_last_rx_byte.nanos = 100_000
    c.sample_rate = 1.0
    c.access_log_type = kind
    c.upstream_cluster = cluster
    c.stream_id = "7a5f3c1e-0000-4000-8000-000000000001"
    c.upstream_request_attempt_count = 1
    c.downstream_wire_bytes_received = 900
    address(c.downstream_remote_address, *remote)
    address(c.downstream_direct_remote_address, *remote)
    address(c.downstream_local_address, *local)
    if upstream_remote:
        address(c.upstream_remote_address, *upstream_remote)
    if upstream_local:
        address(c.upstream_local_address, *upstream_local)


def mutual(c):
    t = c.tls_properties
    t.tls_version = log.TLSProperties.TLSv1_3
    t.tls_cipher_suite.value = 0x1302
    t.tls_sni_hostname = "outbound_.9080_._.reviews.default.svc.cluster.local"
    t.local_certificate_properties.subject_alt_name.add().uri = SERVER
    t.peer_certificate_properties.subject_alt_name.add().dns = "productpage"
    t.peer_certificate_properties.subject_alt_name.add().uri = CLIENT
    t.tls_session_id = "3f" * 32


def request(e, method, path, authority, agent):
    q = e.request
    q.request_method = method
    q.scheme, q.authority, q.path, q.user_agent = "http", authority, path, agent
    q.request_id = "84961386-6d84-929d-98bd-c5aee93b5c88"
    q.forwarded_for = "10.1.1.1"
    q.request_headers_bytes, q.request_body_bytes = 611, 43
    q.request_headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def response(e, code, body, details="via_upstream"):
    e.response.response_code.value = code
    e.response.response_headers_bytes, e.response.response_body_bytes = 190, body
    e.response.response_code_details = details


def inbound():
    m = reviews("http_envoy_accesslog")
    here = ("127.0.0.6", 41854)
    for is_mutual in (True, False):
        e = m.http_logs.log_entry.add()
        e.protocol_version = e.HTTP11
        common(e.common_properties, "inbound|9080||", log.DownstreamEnd, ("10.44.1.23", 37652), ("10.44.1.27", 9080),
               ("10.44.1.27", 9080), here)
        e.common_properties.route_name = "default"
        request(e, 1, "/reviews/0", "reviews:9080", "curl/8.5")
        e.request.original_path = "/reviews/0?x=1"
        response(e, 200, 295)
        if is_mutual:
            mutual(e.common_properties)
            peer(e.common_properties.filter_state_objects["downstream_peer"],
                 peer_state("productpage-v1-6b746f74dc-9rlmh", "productpage-v1", "productpage", "v1"))
    return m


def outbound():
    m = productpage("http_envoy_accesslog")
    out = ("10.44.1.23", 46520)
    e = m.http_logs.log_entry.add()
    e.protocol_version = e.HTTP2
    common(e.common_properties, "outbound|9080|v2|reviews.default.svc.cluster.local", log.DownstreamEnd, out,
           ("10.0.45.184", 9080), ("10.44.1.27", 9080), ("10.44.1.23", 37652))
    request(e, 3, "/reviews.Reviews/Get", "reviews:9080", "")
    e.request.request_headers["content-type"] = "application/grpc+proto"
    e.common_properties.custom_tags["mesh"] = "eu"
    peer(e.common_properties.filter_state_objects["upstream_peer"],
         metadata("reviews-v2-545db77b95-wjtlq", "reviews-v2", "reviews", "v2"))
    response(e, 200, 5)
    e.response.response_headers["content-type"] = "application/grpc"
    e.response.response_trailers["grpc-status"] = "14"
    e.response.response_trailers["grpc-message"] = "no reviews"
    e = m.http_logs.log_entry.add()
    e.protocol_version = e.HTTP11
    common(e.common_properties, "outbound|80||pay.shop.svc.cluster.local", log.DownstreamEnd, out, ("10.0.45.185", 80))
    e.common_properties.response_flags.upstream_connection_failure = True
    e.common_properties.response_flags.upstream_retry_limit_exceeded = True
    e.common_properties.tls_properties.tls_version = log.TLSProperties.TLSv1_2
    request(e, 4, "/pay", "pay.shop", "curl/8.5")
    response(e, 503, 95, "upstream_reset_before_response_started{connection_failure}")
    e = m.http_logs.log_entry.add()
    common(e.common_properties, "outbound|80||pay.shop.svc.cluster.local", log.DownstreamPeriodic, out,
           ("10.0.45.185", 80))
    return m


def tcp():
    m = reviews("tcp_envoy_accesslog")
    for kind in (log.TcpPeriodic, log.TcpConnectionEnd):
        e = m.tcp_logs.log_entry.add()
        common(e.common_properties, "inbound|6379||", kind, ("10.44.1.23", 37652), ("10.44.1.27", 6379),
               ("10.44.1.27", 6379), ("127.0.0.6", 41854))
        e.common_properties.duration.seconds = 3
        mutual(e.common_properties)
        e.connection_properties.received_bytes, e.connection_properties.sent_bytes = 1234, 56789
    return m


def listener():
    m = reviews("listener_envoy_accesslog")
    e = m.tcp_logs.log_entry.add()
    common(e.common_properties, "", log.NotSet, ("10.44.1.99", 37652), ("10.44.1.27", 9080))
    e.common_properties.response_flags.no_route_found = True
    e.common_properties.connection_termination_details = "filter_chain_not_found"
    return m


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, m in (("inbound", inbound()), ("outbound", outbound()), ("tcp", tcp()), ("listener", listener())):
        with open(os.path.join(folder, "istio-" + name), "wb") as f:
            f.write(m.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
