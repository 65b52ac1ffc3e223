// undici's WebSocket, the browsers' API, as a client.

import {subscribe} from 'node:diagnostics_channel';

import {Queue, load} from './cases.mjs';
import {main} from './client.mjs';

const {Agent, WebSocket, ping} = load('undici');

// Of the Pongs, only a diagnostics channel tells.
const pongs = new Map();
subscribe('undici:websocket:pong', ({payload, websocket}) => pongs.get(websocket)?.put(Buffer.from(payload).toString()));

class Connection {
  constructor(socket) {
    this.socket = socket;
    this.messages = new Queue();
    pongs.set(socket, new Queue());
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({data}) =>
      this.messages.put(typeof data === 'string' ? data : Buffer.from(data)),
    );
    this.end = new Promise((resolve) => {
      socket.addEventListener('close', ({code, reason}) => {
        pongs.delete(socket);
        this.messages.put(null);
        resolve({code, reason});
      });
    });
    this.open = new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', ({error}) => reject(error ?? new Error('the connection failed')));
    });
  }

  get deflate() {
    return this.socket.extensions.startsWith('permessage-deflate');
  }

  get subprotocol() {
    return this.socket.protocol || null;
  }

  send(data) {
    this.socket.send(data);
  }

  receive() {
    return this.messages.take();
  }

  async ping(payload) {
    ping(this.socket, Buffer.from(payload));
    const pong = await pongs.get(this.socket).take();
    if (pong !== payload) {
      throw new Error(`another Pong: ${pong}`);
    }
  }

  async close(code, reason) {
    this.socket.close(code, reason);
    await this.closed();
  }

  closed() {
    return this.end;
  }

  abandon() {
    this.socket.close();
  }
}

// Compression is always offered: where there shall be none, the server declines.
async function connect(url, {subprotocols, ca}) {
  const dispatcher = new Agent({connect: {ca}});
  const connection = new Connection(new WebSocket(url, {protocols: subprotocols, dispatcher}));
  await connection.open;
  return connection;
}

await main('undici', connect);
