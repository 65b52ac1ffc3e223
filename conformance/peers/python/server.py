"""What a peer server does on each path, for connections as client.py describes them.

/echo          echoes                       /fragments?piece=N      echoes in fragments of N bytes
/close?code=&reason=   closes at once       /ping?payload=          pings, and reports the Pong
/subprotocol   tells what was agreed on     /seen?id=               tells the Close that came on the connection of that id

Every path takes `deflate=on` or `deflate=off`: what must have been agreed on; and `id`.
"""

import argparse
import asyncio
import json
import ssl
import sys
import urllib.parse

from cases import LIMIT

SUBPROTOCOL = "chat"


class Server:
    def __init__(self):
        self.seen = {}

    def closed(self, id):
        return self.seen.setdefault(id, asyncio.get_running_loop().create_future())

    async def serve(self, connection, target):
        """Serves one connection to its end."""
        url = urllib.parse.urlsplit(target)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if connection.deflate != (query["deflate"] == "on"):
            await connection.close(4999, f"deflate must be {query['deflate']}")
            return
        if url.path == "/close":
            await connection.close(int(query["code"]), query["reason"])
        elif url.path == "/ping":
            await connection.ping(query["payload"].encode())
            await connection.send("pong " + query["payload"])
        elif url.path == "/subprotocol":
            await connection.send(json.dumps(connection.subprotocol))
        elif url.path == "/seen":
            close = await asyncio.wait_for(asyncio.shield(self.closed(query["id"])), LIMIT)
            await connection.send(json.dumps(close))
        if url.path in ("/echo", "/fragments"):
            await echo(connection, int(query.get("piece", 0)))
        close = await connection.closed()
        if "id" in query and url.path != "/seen":
            self.closed(query["id"]).set_result(close)


async def echo(connection, piece):
    while (message := await connection.receive()) is not None:
        if piece:
            await connection.send_fragments(list(cut(message, piece)))
        else:
            await connection.send(message)


def cut(message, piece):
    """Pieces of at most that many bytes; of a text, whole characters."""
    data = message.encode() if isinstance(message, str) else message
    while data:
        end = min(piece, len(data))
        while isinstance(message, str) and end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[:end].decode() if isinstance(message, str) else data[:end]
        data = data[end:]


async def listen(start, options):
    tls = None
    if options.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.cert, options.key)
    port = await start(Server().serve, tls)
    print(f"listening on {port}", flush=True)
    # Who started this server ends it by closing its standard input, or by its own end.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


def main(start):
    """`start(serve, tls)` listens on a free port of 127.0.0.1 and gives it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert", help="speak TLS, with this chain of certificates (PEM)")
    parser.add_argument("--key", help="the key for it (PEM)")
    asyncio.run(listen(start, parser.parse_args()))
