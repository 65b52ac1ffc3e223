"""Hypercorn as a server, of HTTP/1.1 and of HTTP/2."""

import asyncio
import socket

import hypercorn
from hypercorn.asyncio import serve

import server
from cases import MAX_MESSAGE_SIZE
from hypercorn_connection import Connection


class Config(hypercorn.Config):
    websocket_max_message_size = MAX_MESSAGE_SIZE
    loglevel = "ERROR"
    tls = None

    @property
    def ssl_enabled(self):
        return self.tls is not None

    def create_ssl_context(self):
        self.tls.set_alpn_protocols(self.alpn_protocols)
        return self.tls


def complain(loop, context):
    """Of what nobody caught. That a connection was dropped as ../cases.json knows it, is no news."""
    if "KeyError" not in repr(context.get("exception")):
        loop.default_exception_handler(context)


async def start(handle, tls):
    asyncio.get_running_loop().set_exception_handler(complain)

    async def application(scope, receive, send):
        if scope["type"] == "websocket":
            chat = server.SUBPROTOCOL if server.SUBPROTOCOL in scope["subprotocols"] else None
            connection = await Connection(scope, receive, send).accept(chat)
            await handle(connection, f"{scope['path']}?{scope['query_string'].decode()}")

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.tls, config.bind = tls, [f"fd://{listener.detach()}"]
    tasks.add(asyncio.create_task(serve(application, config, shutdown_trigger=asyncio.Event().wait)))
    return port


# What nobody holds may be collected.
tasks = set()
server.main(start)
