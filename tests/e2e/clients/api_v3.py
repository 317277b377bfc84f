"""api_v3.py URL TRACE - what the mcp-server-jaeger package reads from a Jaeger at URL, as JSON."""
import json
import sys

from jaeger_mcp.helper import tool_helper as tool

url, trace = sys.argv[1:]


def plain(x):
    return x.model_dump(mode="json") if hasattr(x, "model_dump") else x


print(json.dumps({
    "services": plain(tool.get_all_services(url)),
    "operations": plain(tool.get_service_operations(url, "shop")),
    "summaries": plain(tool.get_trace_summaries(url, "shop")),
    "by_operation": plain(tool.get_trace_summaries(url, "shop", operation_name="GET /cart")),
    "overview": plain(tool.get_trace_overview(url, trace)),
    "slowest": plain(tool.get_slowest_spans(url, trace, limit=1)),
    "errors": plain(tool.get_trace_errors(url, trace)),
}))
