"""objects.py - the objects that most meshes of the tests are made of, as YAML."""

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {app} }}, ports: [{{ name: {port_name}, port: {port}, targetPort: {target} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}, namespace: default, labels: {{ app: {app}, version: {version}{labels} }}{more} }}
spec: {{ serviceAccountName: {account} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""


def service(name, target, app=None, port_name="http", port=80):
    """Of the Pods whose label app says so; their name is the Service's unless it is given."""
    return SERVICE.format(name=name, app=app or name, port_name=port_name, port=port, target=target)


def pod(name, ip, app, version="v1", account=None, has_sidecar=False, labels="", more=""):
    """labels: more of them, more: of metadata."""
    labels += ", security.istio.io/tlsMode: istio" if has_sidecar else ""
    return POD.format(name=name, ip=ip, app=app, version=version, account=account or app, labels=labels, more=more)
