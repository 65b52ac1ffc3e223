"""Python's wsproto as a client."""

import asyncio
import urllib.parse

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate

import client
from wsproto_connection import PIECE, Connection


async def open(url, deflate, subprotocols, tls):
    parts = urllib.parse.urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    machine = WSConnection(ConnectionType.CLIENT)
    extensions = [PerMessageDeflate()] if deflate else []
    target = f"{parts.path}?{parts.query}"
    writer.write(machine.send(Request(parts.netloc, target, extensions=extensions, subprotocols=subprotocols)))
    while True:
        machine.receive_data(await reader.read(PIECE) or None)
        events = machine.events()
        for event in events:
            if not isinstance(event, AcceptConnection):
                raise ConnectionError(f"not accepted: {event}")
            return Connection(machine, events, reader, writer).agreed(event)


client.main("wsproto", open)
