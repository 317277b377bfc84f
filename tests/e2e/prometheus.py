"""prometheus.py - a real Prometheus that scrapes a collector, and questions to it."""
import json
import os
import shutil
import sys
import urllib.parse

import support
from support import check, http, wait_until

CONFIG = """global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: tulle
    metrics_path: {path}
    static_configs: [{{ targets: {targets} }}]
"""


def or_skip():
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        sys.exit(77)


class Prometheus:
    """collector: whom to scrape; None: targets, "host:port" each, at path."""

    def __init__(self, collector, name="prometheus", features=(), rules=(), targets=(), scraped="/metrics"):
        [port] = support.free_ports(1)
        path = os.path.join(support.folder, name + ".yml")
        with open(path, "w", encoding="utf-8") as f:
            targets = [f"127.0.0.1:{collector.http_port}"] if collector else list(targets)
            f.write(CONFIG.format(targets=json.dumps(targets), path=scraped))
            if rules:
                f.write(f"rule_files: {json.dumps([os.path.abspath(r) for r in rules])}\n")
        flags = [f"--enable-feature={','.join(features)}"] if features else []
        support.start(name, "prometheus", f"--config.file={path}",
                      f"--storage.tsdb.path={support.folder}/{name}",
                      f"--web.listen-address=127.0.0.1:{port}", *flags)
        self.base = f"http://127.0.0.1:{port}"
        wait_until("prometheus", lambda: http(self.base + "/-/ready")[0] == 200, 60)

    def ask(self, path, **parameters):
        status, body = http(f"{self.base}/api/v1/{path}?" + urllib.parse.urlencode(parameters))
        check(status == 200, f"{path} {parameters}: {status} {body!r}")
        return json.loads(body)["data"]

    def vector(self, promql):
        """[(labels, number)]"""
        return [(r["metric"], float(r["value"][1]))
                for r in self.ask("query", query=promql)["result"]]

    def by(self, promql, *labels):
        """{(label values): number}"""
        return {tuple(m.get(name) for name in labels): v for m, v in self.vector(promql)}
