"""A connection of Python's wsproto on a stream of HTTP/2, as client.py describes it."""

from wsproto_connection import Connection


class Http2Connection(Connection):
    def __init__(self, machine, stream):
        super().__init__(machine, [], stream, stream)

    async def closed(self):
        """The peer's Close, behind which only END_STREAM may come: no byte, no RST_STREAM."""
        close = await super().closed()
        if rest := await self.reader.read():
            raise ValueError(f"{len(rest)} bytes behind the Close")
        return close

    async def abandon(self):
        self.writer.reset()
