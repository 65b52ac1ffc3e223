"""A connection of Python's wsproto on asyncio's streams, as client.py describes it."""

from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

PIECE = 65536


class Connection:
    def __init__(self, machine, events, reader, writer):
        self.machine, self.events, self.reader, self.writer = machine, events, reader, writer
        self.close_seen = None

    def agreed(self, handshake):
        """Takes what was agreed on from the handshake's answer."""
        self.deflate = bool(handshake.extensions)
        self.subprotocol = handshake.subprotocol
        return self

    async def write(self, event):
        self.writer.write(self.machine.send(event))
        await self.writer.drain()

    async def next(self):
        """The next event; Pings and the Close are answered. None after the Close."""
        while self.close_seen is None:
            for event in self.events:
                if isinstance(event, Ping):
                    await self.write(event.response())
                    continue
                if isinstance(event, CloseConnection):
                    self.close_seen = {"code": int(event.code), "reason": event.reason or ""}
                    if self.machine.state.name == "REMOTE_CLOSING":
                        await self.write(event.response())
                    self.writer.close()
                return event
            data = await self.reader.read(PIECE)
            self.machine.receive_data(data or None)
            self.events = self.machine.events()
        return None

    async def send(self, data):
        await self.send_fragments([data])

    async def send_fragments(self, parts):
        for number, part in enumerate(parts, 1):
            kind = TextMessage if isinstance(part, str) else BytesMessage
            await self.write(kind(part, message_finished=number == len(parts)))

    async def receive(self):
        parts = []
        while event := await self.next():
            if isinstance(event, CloseConnection):
                return None
            if isinstance(event, (TextMessage, BytesMessage)):
                parts.append(event.data)
                if event.message_finished:
                    empty = "" if isinstance(event, TextMessage) else b""
                    return empty.join(parts)
        return None

    async def ping(self, payload):
        await self.write(Ping(payload))
        event = await self.next()
        if not isinstance(event, Pong) or bytes(event.payload) != payload:
            raise ValueError(f"not the Pong, but {event}")

    async def close(self, code, reason):
        await self.write(CloseConnection(code, reason))
        await self.closed()

    async def closed(self):
        while self.close_seen is None:
            await self.next()
        return self.close_seen

    async def abandon(self):
        self.writer.close()
