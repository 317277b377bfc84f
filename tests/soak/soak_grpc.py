"""soak_grpc.py - callers that speak gRPC (Debian's grpcio), in plaintext to the sidecar and over TLS to the gateway.

No call may fail that an endpoint could have answered. A stream that has its first answer may end before its time only
when its pod dies, as a TCP connection (soak_tcp.py)."""
import os
import time

import grpc

from grpc_app import KINDS, SERVICE
from soak_callers import Caller
from soak_mesh import now


class Grpc(Caller):
    KINDS = {"rpc": ("unary", "unary", "unary_new", "chat"), "ledger": ("unary_big", "chat")}
    errors = (OSError, ValueError, grpc.RpcError)

    def method(self, name):
        if not self.c:
            host = self.door.host(self.service)
            options = [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1)]
            at, tls = "{}:{}".format(*self.door.h2), self.door.roots
            self.c = grpc.insecure_channel(at, options) if not tls else grpc.secure_channel(
                at, grpc.ssl_channel_credentials(tls), options + [("grpc.ssl_target_name_override", host)])
        return getattr(self.c, KINDS[name])(f"/{SERVICE}/{name}")

    def ask(self, size):
        sent = os.urandom(self.dice.randrange(0, size))
        back = self.method("Echo")(sent, timeout=40)
        return None if back == sent else f"{len(back)} other bytes"

    def unary(self):
        time.sleep(0.002)
        return self.ask(2000)

    def unary_big(self):
        time.sleep(0.05)
        return self.ask(500000)

    def unary_new(self):
        time.sleep(0.05)
        self.drop()
        return self.ask(2000)

    def chat(self):
        """A message, its answer, the next, for up to three seconds."""
        began, answers = now(), 0
        sent = [os.urandom(self.dice.randrange(0, 3000)) for _ in range(self.dice.randrange(1, 60))]

        def requests():
            for message in sent:
                yield message
                time.sleep(0.05)
        try:
            for back in self.method("Chat")(requests(), timeout=40):
                if back != b"re: " + sent[answers]:
                    return f"another answer to message {answers}"
                answers += 1
        except grpc.RpcError as e:
            if answers and self.mesh.had_death(self.service, began, now()):
                self.cut += 1
                return None
            return f"{e.code()} {e.details()} after {answers} of {len(sent)} messages, {now() - began:.3f} s"
        return None if answers == len(sent) else f"{answers} answers to {len(sent)} messages"
