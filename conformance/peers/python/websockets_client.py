"""Python's websockets as a client."""

from websockets.asyncio.client import connect

import client
from websockets_connection import OPTIONS, Connection


async def open(url, deflate, subprotocols, tls):
    compression = "deflate" if deflate else None
    options = {"ssl": tls} if tls else {}
    socket = await connect(
        url, compression=compression, subprotocols=subprotocols or None, proxy=None, **OPTIONS, **options
    )
    return Connection(socket)


client.main("websockets", open)
