"""Runs the cases with a client, given a function that connects.

`connect(url, deflate, subprotocols, tls)` gives a connection with `deflate` (whether it was agreed on), `subprotocol`,
`send(data)`, `send_fragments(parts)`, `receive()`, `ping(payload)` (back when its Pong has come), `close(code, reason)`
`closed()`: code and reason of the peer's Close, None where the API does not tell; and `abandon()`, after a failure.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import time
import urllib.parse

from cases import DATA, LIMIT, Check, Failure, payload


class Runner:
    def __init__(self, peer, connect, options):
        self.peer, self.connect, self.options = peer, connect, options
        self.tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
        self.last_id = 0

    async def open(self, path, subprotocols=(), base=None, **query):
        """A connection for which compression was agreed on as the mode says."""
        query["deflate"] = "on" if self.deflate else "off"
        url = f"{base or self.options.url}{path}?{urllib.parse.urlencode(query)}"
        connection = await self.connect(url, self.deflate, list(subprotocols), self.tls)
        self.connections.append(connection)
        self.check.equal("deflate", self.deflate, connection.deflate)
        return connection

    def open_echo(self):
        return self.open("/echo", base=self.options.echo)

    async def end(self, connection):
        await connection.close(1000, "")
        self.check.equal("code at the end", 1000, (await connection.closed())["code"])

    async def seen(self, id):
        """The Close that the server received on another connection."""
        connection = await self.open("/seen", id=id)
        seen = json.loads(await connection.receive())
        await self.end(connection)
        return seen

    def new_id(self):
        self.last_id += 1
        return f"{os.getpid()}-{self.last_id}"

    async def echo(self, case):
        connection = await self.open_echo()
        # Twice: what compression keeps of one message serves the next.
        for seed in (1, 2):
            data = payload(case["kind"], case["size"], seed)
            await connection.send(data)
            self.check.equal("echo", data, await connection.receive())
        await self.end(connection)

    async def fragments_by_client(self, case):
        connection = await self.open_echo()
        parts = [payload(case["kind"], size, seed) for seed, size in enumerate(case["sizes"])]
        await connection.send_fragments(parts)
        self.check.equal("echo", type(parts[0])().join(parts), await connection.receive())
        await self.end(connection)

    async def fragments_by_server(self, case):
        connection = await self.open("/fragments", piece=case["piece"])
        data = payload(case["kind"], case["size"], 3)
        await connection.send(data)
        self.check.equal("echo", data, await connection.receive())
        await self.end(connection)

    async def ping_by_client(self, case):
        connection = await self.open_echo()
        await connection.ping(case["payload"].encode())
        await self.end(connection)

    async def ping_by_server(self, case):
        connection = await self.open("/ping", payload=case["payload"])
        self.check.equal("report", "pong " + case["payload"], await connection.receive())
        await self.end(connection)

    async def subprotocol(self, case):
        connection = await self.open("/subprotocol", case["offer"])
        self.check.equal("agreed", case["agreed"], connection.subprotocol)
        self.check.equal("agreed at the server", case["agreed"], json.loads(await connection.receive()))
        await self.end(connection)

    async def at_a_time(self, case):
        connections = [await self.open_echo() for _ in range(case["connections"])]

        async def echo(connection, seed):
            data = payload(case["kind"], case["size"], seed)
            await connection.send(data)
            self.check.equal("echo", data, await connection.receive())

        await asyncio.gather(*(echo(connection, seed) for seed, connection in enumerate(connections)))
        for connection in connections:
            await self.end(connection)

    async def close_by_client(self, case):
        id, close = self.new_id(), {"code": case["code"], "reason": case["reason"]}
        connection = await self.open("/echo", id=id)
        await connection.close(**close)
        self.check.equal("reply", close, await connection.closed())
        self.check.equal("seen at the server", close, await self.seen(id))

    async def close_by_server(self, case):
        id, close = self.new_id(), {"code": case["code"], "reason": case["reason"]}
        connection = await self.open("/close", id=id, **close)
        self.check.equal("close", close, await connection.closed())
        self.check.equal("reply at the server", close, await self.seen(id))

    async def run(self, mode, case):
        """Runs one case and tells how it went: in which words, xtask knows."""
        name = f"{mode}/{case['name']}"
        self.deflate = DATA["modes"][mode]["deflate"]
        self.check = Check(self.peer, "client", mode, case)
        if self.check.left_out:
            print(f"left out {name}: {self.check.left_out}")
            return True
        self.connections = []
        start = time.monotonic()
        try:
            await asyncio.wait_for(getattr(self, case["action"].replace("-", "_"))(case), LIMIT)
        except Exception as error:
            expected = "" if isinstance(error, Failure) else f"expected no error, got {type(error).__name__}: "
            print(f"FAILED {name}: {expected}{error}")
            for connection in self.connections:
                await connection.abandon()
            return False
        print(f"ok {name} ({time.monotonic() - start:.3f} s)")
        return True


async def run_all(peer, connect, options):
    runner, passed = Runner(peer, connect, options), True
    for mode in options.mode:
        for case in DATA["cases"]:
            if options.case in (None, case["name"], f"{mode}/{case['name']}"):
                passed &= await runner.run(mode, case)
                sys.stdout.flush()
    return passed


def main(peer, connect):
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, help="the peer server: ws://HOST:PORT")
    parser.add_argument("--echo", help="another server for what only echoes")
    parser.add_argument("--ca", help="the certificate authority for wss:// URLs")
    parser.add_argument("--mode", action="append", choices=list(DATA["modes"]), required=True)
    parser.add_argument("--case", help="only this one: NAME, or MODE/NAME")
    options = parser.parse_args()
    options.echo = options.echo or options.url
    sys.exit(0 if asyncio.run(run_all(peer, connect, options)) else 1)
