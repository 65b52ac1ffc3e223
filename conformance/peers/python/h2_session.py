"""A connection of HTTP/2 on the library h2, whose streams read and write as asyncio's do."""

import asyncio
import contextlib
import weakref

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes, Settings

PIECE = 65536


class Session:
    def __init__(self, reader, writer, is_client, on_request=None):
        self.reader, self.writer, self.on_request = reader, writer, on_request
        self.machine = H2Connection(H2Configuration(client_side=is_client, header_encoding="utf-8"))
        # Streams that were ended are forgotten with whom they belong to.
        self.streams = weakref.WeakValueDictionary()
        self.settled, self.room = asyncio.Event(), asyncio.Condition()
        if not is_client:
            extended = {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
            self.machine.local_settings = Settings(client=False, initial_values=extended)
        self.machine.initiate_connection()
        self.flush()
        self.task = asyncio.create_task(self.run())

    @property
    def alive(self):
        return not self.task.done()

    def flush(self):
        self.writer.write(self.machine.data_to_send())

    async def run(self):
        """Takes what comes, at once: the peer is never stopped."""
        try:
            while data := await self.reader.read(PIECE):
                for event in self.machine.receive_data(data):
                    await self.take(event)
                self.flush()
        finally:
            self.flush()
            self.writer.close()
            for stream in list(self.streams.values()):
                stream.fail("the connection ended")
            self.settled.set()
            await self.wake()

    async def wake(self):
        async with self.room:
            self.room.notify_all()

    async def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case RequestReceived(headers=headers, stream_id=id):
                self.on_request(self.stream(id), dict(headers))
            case ResponseReceived(headers=headers):
                stream.response.set_result(dict(headers))
            case DataReceived(data=data, flow_controlled_length=length, stream_id=id):
                self.machine.acknowledge_received_data(length, id)
                if stream:
                    stream.reader.feed_data(data)
            case StreamEnded() if stream:
                stream.reader.feed_eof()
            case StreamReset(error_code=code) if stream:
                stream.fail(f"RST_STREAM with {code!r}")
                await self.wake()
            case WindowUpdated():
                await self.wake()
            case RemoteSettingsChanged():
                self.settled.set()
                await self.wake()
            case ConnectionTerminated(error_code=code) if code:
                raise ConnectionError(f"GOAWAY with {code!r}")

    def stream(self, id):
        stream = self.streams[id] = Stream(self, id)
        return stream

    async def request(self, headers):
        """A new stream, and the headers of its response."""
        await self.settled.wait()
        if self.machine.remote_settings.enable_connect_protocol != 1:
            raise ConnectionError("the server has no extended CONNECT")
        stream = self.stream(self.machine.get_next_available_stream_id())
        self.machine.send_headers(stream.id, headers)
        self.flush()
        return stream, await stream.response


class Stream:
    def __init__(self, session, id):
        self.session, self.id = session, id
        self.reader = asyncio.StreamReader()
        self.response = asyncio.get_running_loop().create_future()
        self.outbox = bytearray()
        self.failure = None

    def fail(self, why):
        self.failure = ConnectionError(why)
        if not self.reader.at_eof():
            self.reader.set_exception(self.failure)
        if not self.response.done():
            self.response.set_exception(self.failure)

    async def read(self, most=-1):
        return await self.reader.read(most)

    def write(self, data):
        self.outbox += data

    async def drain(self):
        machine = self.session.machine
        while self.outbox:
            if self.failure:
                raise self.failure
            room = min(machine.local_flow_control_window(self.id), machine.max_outbound_frame_size)
            if room <= 0:
                async with self.session.room:
                    await self.session.room.wait()
                continue
            machine.send_data(self.id, bytes(self.outbox[:room]))
            del self.outbox[:room]
            self.session.flush()
            await self.session.writer.drain()

    def respond(self, headers):
        self.session.machine.send_headers(self.id, headers)
        self.session.flush()

    def close(self):
        """END_STREAM."""
        self.session.machine.end_stream(self.id)
        self.session.flush()

    def reset(self):
        """RST_STREAM, where the stream has not ended."""
        with contextlib.suppress(StreamClosedError):
            self.session.machine.reset_stream(self.id, ErrorCodes.CANCEL)
        self.session.flush()
