"""Python's h2 as a client, with wsproto for the frames. All connections to a server are streams of one."""

import asyncio
import urllib.parse

from wsproto.connection import Connection, ConnectionType
from wsproto.extensions import PerMessageDeflate
from wsproto.handshake import client_extensions_handshake
from wsproto.utilities import split_comma_header

import client
from h2_connection import Http2Connection
from h2_session import Session

sessions = {}


async def session_to(server, tls):
    session = sessions.get(server)
    if not session or not session.alive:
        if tls:
            tls.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(*server, ssl=tls)
        if tls and writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            raise ConnectionError("the server did not agree on HTTP/2")
        session = sessions[server] = Session(reader, writer, is_client=True)
    return session


async def open(url, deflate, subprotocols, tls):
    parts = urllib.parse.urlsplit(url)
    session = await session_to((parts.hostname, parts.port), tls)
    headers = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https" if tls else "http"),
        (":authority", parts.netloc),
        (":path", f"{parts.path}?{parts.query}"),
        ("sec-websocket-version", "13"),
    ]
    offered = PerMessageDeflate()
    if deflate:
        headers.append(("sec-websocket-extensions", f"{offered.name}; {offered.offer()}"))
    if subprotocols:
        headers.append(("sec-websocket-protocol", ", ".join(subprotocols)))
    stream, answer = await session.request(headers)
    if answer[":status"] != "200":
        raise ConnectionError(f"not accepted: {answer}")
    accepted = split_comma_header(answer.get("sec-websocket-extensions", "").encode())
    extensions = client_extensions_handshake(filter(None, accepted), [offered])
    connection = Http2Connection(Connection(ConnectionType.CLIENT, extensions), stream)
    connection.deflate = bool(extensions)
    connection.subprotocol = answer.get("sec-websocket-protocol")
    return connection


client.main("h2", open)
