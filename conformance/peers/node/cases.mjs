// The cases of ../cases.json, the bytes that they send, and the judgement of what came back.

import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {isDeepStrictEqual} from 'node:util';

export const DATA = JSON.parse(readFileSync(new URL('../cases.json', import.meta.url), 'utf8'));

// Longest message that a peer accepts, in bytes, where it has a limit.
export const MAX_MESSAGE_SIZE = 16 * 1024 * 1024;

// Most milliseconds for one case. A case takes a few; this is for what hangs.
export const LIMIT = 20_000;

// The packages are where setup.sh put them, not among the sources.
const packages = process.env.PEERS_NODE ?? new URL('../../../target/peers/node', import.meta.url).pathname;
export const load = createRequire(`${packages}/package.json`);

// Pseudo-random bytes (xorshift).
function noise(size, seed) {
  const bytes = Buffer.alloc(size);
  let x = (seed * 0x9e3779b9 + size + 1) | 0 || 1;
  for (let n = 0; n < size; n++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[n] = x >>> 11;
  }
  return bytes;
}

// Pseudo-random data of exactly `size` bytes: text with characters of 1 to 4 bytes, or blocks that come twice.
export function payload(kind, size, seed) {
  const bytes = noise(size, seed);
  if (kind === 'text') {
    const letters = bytes.map((byte) => 0x61 + (byte & 7)).toString('latin1');
    return letters.replaceAll('fghf', '😀').replaceAll('cde', '€').replaceAll('ab', 'é');
  }
  for (let n = 0; n < size; n += 1000) {
    bytes.copy(bytes, n + 500, n, n + 500);
  }
  return bytes;
}

export const join = (parts) => (typeof parts[0] === 'string' ? parts.join('') : Buffer.concat(parts));

// A value as one short line.
function show(value) {
  if ((typeof value === 'string' || Buffer.isBuffer(value)) && value.length > 200) {
    const start = typeof value === 'string' ? value.slice(0, 40) : value.toString('hex', 0, 20);
    const kind = typeof value === 'string' ? 'text' : 'binary';
    return `${kind} of ${Buffer.byteLength(value)} bytes, ${start}…`;
  }
  return Buffer.isBuffer(value) ? `binary ${value.toString('hex')}` : JSON.stringify(value);
}

// A case that went wrong.
export class Failure extends Error {}

// What is expected in one case of one peer: as the case says, but for the deviations that are known.
export class Check {
  constructor(peer, role, mode, {name}) {
    this.overrides = {};
    const {http} = DATA.modes[mode];
    for (const {expect, why, ...deviation} of DATA.deviations) {
      const here = deviation.peer === peer && deviation.role === role && (deviation.http ?? http) === http;
      if (here && deviation.cases.includes(name)) {
        if (expect === null) {
          this.leftOut = why;
        }
        Object.assign(this.overrides, expect);
      }
    }
  }

  equal(what, expected, got) {
    const override = this.overrides[what];
    if (override !== undefined) {
      expected = typeof override === 'object' && override !== null ? {...expected, ...override} : override;
    }
    if (!isDeepStrictEqual(expected, got)) {
      const where = difference(expected, got);
      throw new Failure(`${what}: expected ${show(expected)}, got ${show(got)}${where}`);
    }
  }
}

function difference(expected, got) {
  const text = typeof expected === 'string' && typeof got === 'string';
  if (!text && !(Buffer.isBuffer(expected) && Buffer.isBuffer(got))) {
    return '';
  }
  let n = 0;
  while (n < expected.length && n < got.length && expected[n] === got[n]) {
    n++;
  }
  return `; they differ at ${n}`;
}

// The promise's outcome, or an error when it takes too long.
export function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${LIMIT} ms`)), LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// What came and was not taken, in order; who comes first waits.
export class Queue {
  constructor() {
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    const first = this.waiting.shift();
    if (first) {
      first(item);
    } else {
      this.items.push(item);
    }
  }

  take() {
    return this.items.length > 0 ? Promise.resolve(this.items.shift()) : new Promise((go) => this.waiting.push(go));
  }
}
