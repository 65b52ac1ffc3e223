"""Python's h2 as a server, with wsproto for the frames."""

import asyncio

from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import split_comma_header

import server
from h2_connection import Http2Connection
from h2_session import Session


def accept(stream, request):
    """Answers the request: gives the connection."""
    if request[":method"] != "CONNECT" or request.get(":protocol") != "websocket":
        raise ConnectionError(f"not a request: {request}")
    offered = split_comma_header(request.get("sec-websocket-extensions", "").encode())
    deflate = PerMessageDeflate()
    agreed = server_extensions_handshake(filter(None, offered), [deflate])
    chat = server.SUBPROTOCOL in request.get("sec-websocket-protocol", "").split(", ")
    answer = [(":status", "200")]
    if agreed:
        answer.append(("sec-websocket-extensions", agreed.decode()))
    if chat:
        answer.append(("sec-websocket-protocol", server.SUBPROTOCOL))
    stream.respond(answer)
    connection = Http2Connection(Connection(ConnectionType.SERVER, [deflate] if agreed else []), stream)
    connection.deflate, connection.subprotocol = bool(agreed), server.SUBPROTOCOL if chat else None
    return connection


async def start(handle, tls):
    if tls:
        tls.set_alpn_protocols(["h2"])
    tasks = set()

    def on_request(stream, request):
        task = asyncio.create_task(handle(accept(stream, request), request[":path"]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def serve(reader, writer):
        await Session(reader, writer, is_client=False, on_request=on_request).task

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    return listener.sockets[0].getsockname()[1]


server.main(start)
