// ws on a stream of node:http2: the handshake is here, frames and the closing handshake are the package's.

import {MAX_MESSAGE_SIZE, load} from './cases.mjs';
import {Connection} from './ws_connection.mjs';

const {PerMessageDeflate, WebSocket, extension} = load('ws');
const DEFLATE = PerMessageDeflate.extensionName;

// With the version of the package that is pinned, a socket that was opened elsewhere can be given to it.
class Socket extends WebSocket {
  constructor(isServer) {
    super(null, undefined, {autoPong: true, closeTimeout: 20_000});
    this._isServer = isServer;
  }

  open(stream, {deflate, subprotocol}) {
    this._protocol = subprotocol ?? '';
    this._extensions = deflate ? {[DEFLATE]: deflate} : {};
    this.setSocket(stream, Buffer.alloc(0), {maxPayload: MAX_MESSAGE_SIZE});
  }
}

// A connection whose stream has to end as RFC 8441 has it: END_STREAM by both ends, no RST_STREAM.
class Http2Connection extends Connection {
  constructor(socket, stream) {
    super(socket);
    this.stream = stream;
  }

  async closed() {
    const close = await super.closed();
    if (this.stream.rstCode !== 0 || !this.stream.readableEnded) {
      throw new Error(`the stream did not end, but was reset with ${this.stream.rstCode}`);
    }
    return close;
  }
}

// Every message is compressed, however short.
export const deflater = (isServer) => new PerMessageDeflate({threshold: 0, maxPayload: MAX_MESSAGE_SIZE, isServer});

// What the other end said of compression: the parameters, as a list of offers; none where it said nothing.
export function parameters({'sec-websocket-extensions': said}) {
  return said && extension.parse(said)[DEFLATE];
}

export const format = (parameters) => extension.format({[DEFLATE]: [parameters]});

export function open(stream, isServer, agreed) {
  const socket = new Socket(isServer);
  const connection = new Http2Connection(socket, stream);
  socket.open(stream, agreed);
  return connection;
}
