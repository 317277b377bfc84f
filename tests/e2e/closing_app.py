"""closing_app.py HOST PORT IDLE_MS - an application that closes a kept connection after IDLE_MS of rest, give
or take a little, and tells how often it closed one. GET /closed: that number; everything else: 200."""
import asyncio
import random
import sys

HOST, PORT, IDLE_S = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000
closed = 0


class App(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.got, self.timer = transport, b"", None

    def connection_lost(self, exc):
        if self.timer:
            self.timer.cancel()

    def rest_is_over(self):
        global closed
        closed += 1
        self.transport.close()

    def data_received(self, data):
        if self.timer:
            self.timer.cancel()
        self.got += data
        while b"\r\n\r\n" in self.got:
            head, rest = self.got.split(b"\r\n\r\n", 1)
            length = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                      if line.startswith(b"content-length:")]
            if len(rest) < sum(length):
                return
            self.got = rest[sum(length):]
            text = b"%d" % closed
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        self.timer = asyncio.get_running_loop().call_later(IDLE_S + random.uniform(-0.001, 0.001), self.rest_is_over)


async def main():
    server = await asyncio.get_running_loop().create_server(App, HOST, PORT, backlog=512)
    await server.serve_forever()


asyncio.run(main())
