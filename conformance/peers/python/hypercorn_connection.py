"""A connection of an ASGI application, as client.py describes it."""


class Connection:
    def __init__(self, scope, receive, send):
        self.inbox, self.outbox = receive, send
        headers = dict(scope["headers"])
        # The interface does not tell, but Hypercorn agrees whenever it is offered.
        self.deflate = b"permessage-deflate" in headers.get(b"sec-websocket-extensions", b"")
        self.close_seen = None

    async def accept(self, subprotocol):
        await self.inbox()
        await self.outbox({"type": "websocket.accept", "subprotocol": subprotocol})
        self.subprotocol = subprotocol
        return self

    async def send(self, data):
        await self.outbox({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})

    async def receive(self):
        event = await self.inbox()
        if event["type"] == "websocket.disconnect":
            self.close_seen = {"code": event["code"], "reason": event.get("reason")}
            return None
        return event["bytes"] if event["text"] is None else event["text"]

    async def close(self, code, reason):
        await self.outbox({"type": "websocket.close", "code": code, "reason": reason})

    async def closed(self):
        while self.close_seen is None:
            await self.receive()
        return self.close_seen
