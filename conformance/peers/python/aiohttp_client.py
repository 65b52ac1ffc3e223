"""aiohttp as a client."""

from aiohttp import ClientSession

import client
from aiohttp_connection import Connection
from cases import MAX_MESSAGE_SIZE


class ClientConnection(Connection):
    def __init__(self, session, socket):
        super().__init__(socket, socket.protocol)
        self.session = session

    async def closed(self):
        close = await super().closed()
        await self.session.close()
        return close

    async def abandon(self):
        await self.session.close()


async def open(url, deflate, subprotocols, tls):
    session = ClientSession()
    try:
        socket = await session.ws_connect(
            url,
            autoping=False,
            compress=15 if deflate else 0,
            max_msg_size=MAX_MESSAGE_SIZE,
            protocols=subprotocols,
            ssl=tls or True,
        )
    except BaseException:
        await session.close()
        raise
    return ClientConnection(session, socket)


client.main("aiohttp", open)
