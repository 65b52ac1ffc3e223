// A connection of the package ws, as client.mjs describes it.

import {Queue} from './cases.mjs';

export class Connection {
  constructor(socket) {
    this.socket = socket;
    this.messages = new Queue();
    this.pongs = new Queue();
    this.end = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.messages.put(null);
        resolve({code, reason: reason.toString()});
      });
    });
    socket.on('message', (data, isBinary) => this.messages.put(isBinary ? data : data.toString()));
    socket.on('pong', (data) => this.pongs.put(data.toString()));
    this.broken = new Promise((_, reject) => socket.on('error', reject));
    this.broken.catch(() => {});
  }

  get deflate() {
    return 'permessage-deflate' in this.socket._extensions;
  }

  get subprotocol() {
    return this.socket.protocol || null;
  }

  // What comes first: the outcome, or the failure of the connection.
  orBroken(promise) {
    return Promise.race([promise, this.broken]);
  }

  sendPart(data, fin) {
    return new Promise((resolve, reject) => {
      const binary = Buffer.isBuffer(data);
      this.socket.send(data, {fin, binary, compress: true}, (error) => (error ? reject(error) : resolve()));
    });
  }

  send(data) {
    return this.sendPart(data, true);
  }

  async sendFragments(parts) {
    for (const [n, part] of parts.entries()) {
      await this.sendPart(part, n === parts.length - 1);
    }
  }

  receive() {
    return this.orBroken(this.messages.take());
  }

  async ping(payload) {
    this.socket.ping(payload);
    const pong = await this.orBroken(this.pongs.take());
    if (pong !== payload) {
      throw new Error(`another Pong: ${pong}`);
    }
  }

  async close(code, reason) {
    this.socket.close(code, reason);
    await this.closed();
  }

  closed() {
    return this.orBroken(this.end);
  }

  abandon() {
    this.socket.terminate();
  }
}
