"""Python's wsproto as a server."""

import asyncio

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request
from wsproto.extensions import PerMessageDeflate

import server
from wsproto_connection import PIECE, Connection


async def accept(reader, writer):
    """Answers the request: gives the connection and the request's target."""
    machine = WSConnection(ConnectionType.SERVER)
    while True:
        machine.receive_data(await reader.read(PIECE) or None)
        events = machine.events()
        for event in events:
            if not isinstance(event, Request):
                raise ConnectionError(f"not a request: {event}")
            chat = server.SUBPROTOCOL if server.SUBPROTOCOL in event.subprotocols else None
            deflate = PerMessageDeflate()
            answer = AcceptConnection(subprotocol=chat, extensions=[deflate])
            writer.write(machine.send(answer))
            connection = Connection(machine, events, reader, writer)
            connection.deflate, connection.subprotocol = deflate.enabled(), chat
            return connection, event.target


async def start(handle, tls):
    async def serve(reader, writer):
        try:
            connection, target = await accept(reader, writer)
            await handle(connection, target)
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    return listener.sockets[0].getsockname()[1]


server.main(start)
