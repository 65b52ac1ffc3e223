"""Python's websockets as a server."""

from websockets.asyncio.server import serve

import server
from websockets_connection import OPTIONS, Connection


def select_subprotocol(_, offered):
    """As the other peers do it; this library's own way refuses who offers none."""
    return server.SUBPROTOCOL if server.SUBPROTOCOL in offered else None


async def start(handle, tls):
    async def handler(socket):
        await handle(Connection(socket), socket.request.path)

    listener = await serve(handler, "127.0.0.1", 0, ssl=tls, select_subprotocol=select_subprotocol, **OPTIONS)
    return listener.sockets[0].getsockname()[1]


server.main(start)
