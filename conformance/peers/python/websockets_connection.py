"""A connection of the library websockets, as client.py describes it."""

from websockets.exceptions import ConnectionClosed

from cases import MAX_MESSAGE_SIZE

OPTIONS = {"max_size": MAX_MESSAGE_SIZE}


class Connection:
    def __init__(self, socket):
        self.socket = socket
        self.deflate = bool(socket.protocol.extensions)
        self.subprotocol = socket.subprotocol

    async def send(self, data):
        await self.socket.send(data)

    async def send_fragments(self, parts):
        await self.socket.send(parts)

    async def receive(self):
        try:
            return await self.socket.recv()
        except ConnectionClosed:
            return None

    async def ping(self, payload):
        await (await self.socket.ping(payload))

    async def close(self, code, reason):
        await self.socket.close(code, reason)

    async def closed(self):
        await self.socket.wait_closed()
        close = self.socket.protocol.close_rcvd
        return {"code": close.code, "reason": close.reason} if close else {"code": 1006, "reason": ""}

    async def abandon(self):
        self.socket.transport.abort()
