// Runs the cases with a client, given a function that connects.
//
// `connect(url, {deflate, subprotocols, ca})` gives a connection with `deflate` (whether it was agreed on), `subprotocol`
// (null for none), `send(data)`, `sendFragments(parts)`, `receive()`, `ping(payload)` (back when its Pong has come),
// `close(code, reason)`, `closed()`: code and reason of the peer's Close; and `abandon()`, after a failure.

import {readFileSync} from 'node:fs';
import {parseArgs} from 'node:util';

import {Check, DATA, Failure, inTime, join, payload} from './cases.mjs';

class Runner {
  constructor(peer, connect, options) {
    Object.assign(this, {peer, connect, options});
    this.ca = options.ca && readFileSync(options.ca);
    this.lastId = 0;
  }

  // A connection for which compression was agreed on as the mode says.
  async open(path, query = {}, {subprotocols = [], base = this.options.url} = {}) {
    query = new URLSearchParams({...query, deflate: this.deflate ? 'on' : 'off'});
    const connection = await this.connect(`${base}${path}?${query}`, {deflate: this.deflate, subprotocols, ca: this.ca});
    this.connections.push(connection);
    this.check.equal('deflate', this.deflate, connection.deflate);
    return connection;
  }

  openEcho() {
    return this.open('/echo', {}, {base: this.options.echo});
  }

  async end(connection) {
    await connection.close(1000, '');
    this.check.equal('code at the end', 1000, (await connection.closed()).code);
  }

  // The Close that the server received on another connection.
  async seen(id) {
    const connection = await this.open('/seen', {id});
    const seen = JSON.parse(await connection.receive());
    await this.end(connection);
    return seen;
  }

  newId() {
    this.lastId += 1;
    return `${process.pid}-${this.lastId}`;
  }

  async echo({kind, size}) {
    const connection = await this.openEcho();
    // Twice: what compression keeps of one message serves the next.
    for (const seed of [1, 2]) {
      const data = payload(kind, size, seed);
      await connection.send(data);
      this.check.equal('echo', data, await connection.receive());
    }
    await this.end(connection);
  }

  async 'fragments-by-client'({kind, sizes}) {
    const connection = await this.openEcho();
    const parts = sizes.map((size, seed) => payload(kind, size, seed));
    await connection.sendFragments(parts);
    this.check.equal('echo', join(parts), await connection.receive());
    await this.end(connection);
  }

  async 'fragments-by-server'({kind, size, piece}) {
    const connection = await this.open('/fragments', {piece});
    const data = payload(kind, size, 3);
    await connection.send(data);
    this.check.equal('echo', data, await connection.receive());
    await this.end(connection);
  }

  async 'ping-by-client'({payload}) {
    const connection = await this.openEcho();
    await connection.ping(payload);
    await this.end(connection);
  }

  async 'ping-by-server'({payload}) {
    const connection = await this.open('/ping', {payload});
    this.check.equal('report', `pong ${payload}`, await connection.receive());
    await this.end(connection);
  }

  async subprotocol({offer, agreed}) {
    const connection = await this.open('/subprotocol', {}, {subprotocols: offer});
    this.check.equal('agreed', agreed, connection.subprotocol);
    this.check.equal('agreed at the server', agreed, JSON.parse(await connection.receive()));
    await this.end(connection);
  }

  async 'at-a-time'({connections: count, kind, size}) {
    const connections = [];
    while (connections.length < count) {
      connections.push(await this.openEcho());
    }
    const echo = async (connection, seed) => {
      const data = payload(kind, size, seed);
      await connection.send(data);
      this.check.equal('echo', data, await connection.receive());
    };
    await Promise.all(connections.map(echo));
    for (const connection of connections) {
      await this.end(connection);
    }
  }

  async 'close-by-client'({code, reason}) {
    const id = this.newId();
    const connection = await this.open('/echo', {id});
    await connection.close(code, reason);
    this.check.equal('reply', {code, reason}, await connection.closed());
    this.check.equal('seen at the server', {code, reason}, await this.seen(id));
  }

  async 'close-by-server'({code, reason}) {
    const id = this.newId();
    const connection = await this.open('/close', {id, code, reason});
    this.check.equal('close', {code, reason}, await connection.closed());
    this.check.equal('reply at the server', {code, reason}, await this.seen(id));
  }

  // Runs one case and tells how it went: in which words, xtask knows.
  async run(mode, testCase) {
    const name = `${mode}/${testCase.name}`;
    this.deflate = DATA.modes[mode].deflate;
    this.check = new Check(this.peer, 'client', mode, testCase);
    this.connections = [];
    if (this.check.leftOut) {
      console.log(`left out ${name}: ${this.check.leftOut}`);
      return true;
    }
    const start = performance.now();
    try {
      await inTime(this[testCase.action](testCase), 'the case');
    } catch (error) {
      const expected = error instanceof Failure ? '' : `expected no error, got ${error.name}: `;
      console.log(`FAILED ${name}: ${expected}${error.message}`);
      this.connections.forEach((connection) => connection.abandon());
      return false;
    }
    console.log(`ok ${name} (${((performance.now() - start) / 1000).toFixed(3)} s)`);
    return true;
  }
}

export async function main(peer, connect) {
  const {values: options} = parseArgs({
    options: {
      url: {type: 'string'}, // the peer server: ws://HOST:PORT
      echo: {type: 'string'}, // another server for what only echoes
      ca: {type: 'string'}, // the certificate authority for wss:// URLs
      mode: {type: 'string', multiple: true},
      case: {type: 'string'}, // only this one: NAME, or MODE/NAME
    },
  });
  options.echo ??= options.url;
  const runner = new Runner(peer, connect, options);
  let passed = true;
  for (const mode of options.mode) {
    for (const testCase of DATA.cases) {
      if ([undefined, testCase.name, `${mode}/${testCase.name}`].includes(options.case)) {
        passed = (await runner.run(mode, testCase)) && passed;
      }
    }
  }
  process.exitCode = passed ? 0 : 1;
}
