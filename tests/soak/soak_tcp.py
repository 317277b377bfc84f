"""soak_tcp.py - callers of a service that is no HTTP: it sends back what it gets.

A new connection may not fail while an endpoint lives. One that is open may see its end (or a reset) only when its own
endpoint dies, and nobody else can tell which that is: so it counts as cut, not as wrong, only if a pod of the Service was
being killed meanwhile."""
import os
import socket
import time

from soak_callers import Caller, echo
from soak_mesh import now


class Tcp(Caller):
    KINDS = {"raw": ("raw_new", "raw_new", "raw_keep", "raw_keep"), "queue": ("raw_new", "raw_keep")}

    def talk(self, turns, pause, size):
        began = now()
        try:
            with socket.create_connection(self.door.tcp(self.service), 40) as s:
                for _ in range(turns):
                    why = echo(s, os.urandom(self.dice.randrange(1, size)))
                    if why or self.over.is_set():
                        break
                    time.sleep(pause)
                if not why:
                    s.shutdown(socket.SHUT_WR)
                    why = "bytes behind the last ones" if s.recv(1) else None
        except OSError as e:
            why = repr(e)
        if why and not why.startswith("other") and self.mesh.had_death(self.service, began, now()):
            self.cut += 1
            return None
        return why and f"{why} after {now() - began:.3f} s"

    def raw_new(self):
        time.sleep(0.01)
        return self.talk(1, 0, 20000)

    def raw_keep(self):
        return self.talk(self.dice.randrange(10, 200), 0.05, 5000)
