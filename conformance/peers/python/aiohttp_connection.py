"""A connection of the library aiohttp, as client.py describes it."""

from aiohttp import WSMsgType


class Connection:
    def __init__(self, socket, subprotocol):
        self.socket = socket
        self.deflate = bool(socket.compress)
        self.subprotocol = subprotocol
        self.close_seen = None

    async def send(self, data):
        await (self.socket.send_str if isinstance(data, str) else self.socket.send_bytes)(data)

    async def next(self):
        """The next message or Pong; a Ping is answered here, because without that the library does not show Pongs."""
        while True:
            message = await self.socket.receive()
            if message.type is WSMsgType.PING:
                await self.socket.pong(message.data)
                continue
            if message.type is WSMsgType.CLOSE:
                self.close_seen = {"code": message.data, "reason": message.extra}
            return message

    async def receive(self):
        message = await self.next()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            return message.data
        if message.type is WSMsgType.ERROR:
            raise message.data
        return None

    async def ping(self, payload):
        await self.socket.ping(payload)
        message = await self.next()
        if message.type is not WSMsgType.PONG or message.data != payload:
            raise ValueError(f"not the Pong, but {message}")

    async def close(self, code, reason):
        await self.socket.close(code=code, message=reason.encode())

    async def closed(self):
        while not self.socket.closed:
            await self.next()
        # Of the answer to its own Close, the library tells the code alone.
        return self.close_seen or {"code": int(self.socket.close_code), "reason": None}
