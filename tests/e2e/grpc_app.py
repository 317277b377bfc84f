"""grpc_app.py - a gRPC service on Debian's grpcio, without generated code: messages are bytes."""
import threading
import time
from concurrent import futures

import grpc

SERVICE = "shop.Shop"
KINDS = {"Echo": "unary_unary", "Fail": "unary_unary", "Sleep": "unary_unary", "Meta": "unary_unary",
         "Flaky": "unary_unary", "Count": "unary_stream", "FailLate": "unary_stream", "Flood": "unary_stream",
         "Sum": "stream_unary", "Chat": "stream_stream"}


class Shop:
    def __init__(self):
        self.calls, self.left, self.cancelled = {}, [], threading.Event()

    def Echo(self, request, context):
        return request

    def Fail(self, request, context):
        context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05"), ("x-why", "as asked")))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "50% of it \u00e4")

    def Sleep(self, request, context):
        if not context.add_callback(self.cancelled.set):
            self.cancelled.set()
        self.left.append(context.time_remaining())
        time.sleep(float(request))
        return b"slept"

    def Meta(self, request, context):
        context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last", "2"), ("x-bin-bin", b"\0\xff")))
        return "\n".join(f"{k}={v}" for k, v in context.invocation_metadata()).encode()

    def Flaky(self, request, context):
        """The first call of each name is not to be had."""
        self.calls[request] = self.calls.get(request, 0) + 1
        if self.calls[request] == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        return b"%d" % self.calls[request]

    def Count(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def FailLate(self, request, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "in the middle")

    def Flood(self, request, context):
        for _ in range(int(request)):
            yield b"f" * 65536

    def Sum(self, requests, context):
        return b"%d" % sum(int(r) for r in requests)

    def Chat(self, requests, context):
        for r in requests:
            yield b"re: " + r


def serve(address, more=(), options=()):
    """(server, service); more: handlers of other services."""
    shop = Shop()
    handlers = {name: getattr(grpc, kind + "_rpc_method_handler")(getattr(shop, name))
                for name, kind in KINDS.items()}
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0), *options])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    for name, of in dict(more).items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, of),))
    server.add_insecure_port(address)
    server.start()
    return server, shop


class Client:
    def __init__(self, target, authority, *options):
        self.channel = grpc.insecure_channel(target, options=[("grpc.default_authority", authority), *options])

    def __getattr__(self, name):
        return getattr(self.channel, KINDS[name])(f"/{SERVICE}/{name}")
