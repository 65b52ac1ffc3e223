// The package ws as a client.

import {MAX_MESSAGE_SIZE, load} from './cases.mjs';
import {main} from './client.mjs';
import {Connection} from './ws_connection.mjs';

const {WebSocket} = load('ws');

async function connect(url, {deflate, subprotocols, ca}) {
  // From any length on, so that short messages are compressed, too.
  const perMessageDeflate = deflate && {threshold: 0};
  const socket = new WebSocket(url, subprotocols, {perMessageDeflate, ca, maxPayload: MAX_MESSAGE_SIZE});
  const connection = new Connection(socket);
  await connection.orBroken(new Promise((resolve) => socket.on('open', resolve)));
  return connection;
}

await main('ws', connect);
