// What a peer server does on each path, for connections as client.mjs describes them. The paths are those of
// ../python/server.py.

import {readFileSync} from 'node:fs';
import {parseArgs} from 'node:util';

import {inTime} from './cases.mjs';

export const SUBPROTOCOL = 'chat';

const seen = new Map();

// The Close that was received on the connection of that id: a promise, and how it is kept.
function closed(id) {
  if (!seen.has(id)) {
    seen.set(id, Promise.withResolvers?.() ?? withResolvers());
  }
  return seen.get(id);
}

function withResolvers() {
  const it = {};
  it.promise = new Promise((resolve, reject) => Object.assign(it, {resolve, reject}));
  return it;
}

// Serves one connection to its end.
export async function serve(connection, target) {
  const {pathname, searchParams} = new URL(target, 'ws://localhost');
  const query = Object.fromEntries(searchParams);
  if (connection.deflate !== (query.deflate === 'on')) {
    await connection.close(4999, `deflate must be ${query.deflate}`);
    return;
  }
  switch (pathname) {
    case '/close':
      await connection.close(Number(query.code), query.reason);
      break;
    case '/ping':
      await connection.ping(query.payload);
      await connection.send(`pong ${query.payload}`);
      break;
    case '/subprotocol':
      await connection.send(JSON.stringify(connection.subprotocol));
      break;
    case '/seen':
      await connection.send(JSON.stringify(await inTime(closed(query.id).promise, 'waiting for the Close')));
      break;
    default:
      await echo(connection, Number(query.piece ?? 0));
  }
  const close = await connection.closed();
  if (query.id && pathname !== '/seen') {
    closed(query.id).resolve(close);
  }
}

async function echo(connection, piece) {
  for (let message; (message = await connection.receive()) !== null; ) {
    await (piece ? connection.sendFragments(cut(message, piece)) : connection.send(message));
  }
}

// Pieces of at most that many bytes; of a text, whole characters.
function cut(message, piece) {
  const text = typeof message === 'string';
  const pieces = [];
  for (let data = Buffer.from(message); data.length > 0; ) {
    let end = Math.min(piece, data.length);
    while (text && end < data.length && (data[end] & 0xc0) === 0x80) {
      end--;
    }
    pieces.push(text ? data.toString('utf8', 0, end) : data.subarray(0, end));
    data = data.subarray(end);
  }
  return pieces;
}

// Listens on a free port of 127.0.0.1 with the server that `create` makes, given what TLS needs, where it is wanted.
export function listen(create) {
  const {values: options} = parseArgs({
    options: {
      cert: {type: 'string'}, // speak TLS, with this chain of certificates (PEM)
      key: {type: 'string'}, // the key for it (PEM)
    },
  });
  const server = create(options.cert && {cert: readFileSync(options.cert), key: readFileSync(options.key)});
  server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
  // Who started this server ends it by closing its standard input, or by its own end.
  process.stdin.resume().on('end', () => process.exit());
}
