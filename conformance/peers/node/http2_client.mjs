// Node's http2 as a client, with ws for the frames. All connections to a server are streams of one.

import {connect as connectHttp2} from 'node:http2';
import {once} from 'node:events';

import {main} from './client.mjs';
import {deflater, format, open, parameters} from './http2_connection.mjs';

const sessions = new Map();

// The connection of HTTP/2 to this server, once its settings have come.
async function sessionTo(origin, ca) {
  let session = sessions.get(origin);
  if (!session || session.closed || session.destroyed) {
    session = connectHttp2(origin, {ca});
    sessions.set(origin, session);
    const [settings] = await once(session, 'remoteSettings');
    if (!settings.enableConnectProtocol) {
      throw new Error('the server has no extended CONNECT');
    }
    // It does not keep this program from its end.
    session.unref();
  }
  return session;
}

async function connect(url, {deflate, subprotocols, ca}) {
  const {origin, pathname, search} = new URL(url.replace(/^ws/, 'http'));
  const session = await sessionTo(origin, ca);
  const offered = deflate && deflater(false);
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': pathname + search,
      'sec-websocket-version': '13',
      ...(offered && {'sec-websocket-extensions': format(offered.offer())}),
      ...(subprotocols.length > 0 && {'sec-websocket-protocol': subprotocols.join(', ')}),
    },
    {endStream: false},
  );
  const [answer] = await once(stream, 'response');
  if (answer[':status'] !== 200) {
    throw new Error(`not accepted: ${answer[':status']}`);
  }
  const accepted = parameters(answer);
  if (accepted) {
    offered.accept(accepted);
  }
  return open(stream, false, {deflate: accepted && offered, subprotocol: answer['sec-websocket-protocol']});
}

await main('http2', connect);
