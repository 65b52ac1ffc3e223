// Node's http2 as a server, with ws for the frames.

import {createSecureServer, createServer} from 'node:http2';

import {deflater, format, open, parameters} from './http2_connection.mjs';
import {SUBPROTOCOL, listen, serve} from './server.mjs';

// Answers the request: gives the connection.
function accept(stream, headers) {
  const offers = parameters(headers);
  const deflate = offers && deflater(true);
  const chat = (headers['sec-websocket-protocol'] ?? '').split(', ').includes(SUBPROTOCOL) ? SUBPROTOCOL : undefined;
  stream.respond({
    ':status': 200,
    ...(deflate && {'sec-websocket-extensions': format(deflate.accept(offers))}),
    ...(chat && {'sec-websocket-protocol': chat}),
  });
  return open(stream, true, {deflate, subprotocol: chat});
}

listen((tls) => {
  const settings = {enableConnectProtocol: true};
  const server = tls ? createSecureServer({...tls, settings}) : createServer({settings});
  server.on('stream', (stream, headers) => {
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({':status': 400}, {endStream: true});
      return;
    }
    serve(accept(stream, headers), headers[':path']).catch((error) => {
      console.error(error);
      stream.destroy();
    });
  });
  return server;
});
