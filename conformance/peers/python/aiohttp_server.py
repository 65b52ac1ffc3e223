"""aiohttp as a server."""

from aiohttp import web

import server
from aiohttp_connection import Connection
from cases import MAX_MESSAGE_SIZE


async def start(handle, tls):
    async def handler(request):
        socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_SIZE, protocols=[server.SUBPROTOCOL])
        await socket.prepare(request)
        await handle(Connection(socket, socket.ws_protocol), request.raw_path)
        return socket

    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls, shutdown_timeout=1).start()
    return runner.addresses[0][1]


server.main(start)
