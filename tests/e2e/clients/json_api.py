"""json_api.py URL TRACE OTHER - what the jaeger-mcp package reads from a Jaeger at URL, as JSON."""
import json
import sys
import time
from dataclasses import asdict

from jaeger_mcp.client import JaegerHTTPClient
from jaeger_mcp.facade import JaegerClient

url, trace, other = sys.argv[1:]
client = JaegerClient(JaegerHTTPClient(url=url, retry_attempts=0, cache_ttl=0))
now = int(time.time() * 1e6)


def plain(x):
    return x.model_dump() if hasattr(x, "model_dump") else dict(x) if isinstance(x, dict) else asdict(x)


told = {
    "services": client.list_services(),
    "dependencies": [asdict(d) for d in client.get_dependencies(lookback_hours=1)],
    "trace": asdict(client.get_trace(trace)),
    "found": [asdict(t) for t in client.search_traces("shop", limit=10)],
    "by_tag": [asdict(t) for t in client.search_traces(
        "shop", operation="GET /cart", tags={"http.response.status_code": "503"}, min_duration="10ms", max_duration="10s",
        time_from=now - 3_600_000_000, time_to=now, limit=10)],
    "none": [asdict(t) for t in client.search_traces("shop", tags={"error": "false"}, min_duration="59m", limit=10)],
    "both": [asdict(t) for t in client.fetch_traces([trace, other])],
    "compared": asdict(client.compare_traces(trace, other)),
    "critical": plain(client.critical_path(trace)),
    "statistics": plain(client.span_statistics("shop")),
}
try:
    client.get_trace("f" * 32)
    told["missing"] = "found"
except Exception as e:  # pylint: disable=broad-exception-caught
    told["missing"] = f"{type(e).__name__}: {e}"
print(json.dumps(told, default=str))
