// The package ws as a server.

import {createServer} from 'node:http';
import {createServer as createTlsServer} from 'node:https';

import {MAX_MESSAGE_SIZE, load} from './cases.mjs';
import {SUBPROTOCOL, listen, serve} from './server.mjs';
import {Connection} from './ws_connection.mjs';

const {WebSocketServer} = load('ws');

listen((tls) => {
  const server = tls ? createTlsServer(tls) : createServer();
  const handleProtocols = (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false);
  const listener = new WebSocketServer({
    server,
    handleProtocols,
    maxPayload: MAX_MESSAGE_SIZE,
    perMessageDeflate: {threshold: 0},
  });
  listener.on('connection', (socket, request) => {
    serve(new Connection(socket), request.url).catch((error) => {
      console.error(error);
      socket.terminate();
    });
  });
  return server;
});
