#!/usr/bin/env node
// WebSockets over HTTP/2 (RFC 8441) in a real browser: headless Chromium, whose own log tells what it did, and `wsproto serve`.
//
//   node websockets.mjs --wsproto PROGRAM --out DIR
//
// PROGRAM is the command `wsproto`, which is started here, with TLS: browsers speak HTTP/2 with it alone. DIR gets the browser's
// log of the network. CHROMIUM names the browser, as for page.mjs. Exit status: 0 all checks passed, 1 one failed or could not run.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { TIMEOUT, check, checks, fail, launch } from "./browser.mjs";
import { readNetLog, upgrades, webSocketStreams } from "./net-log.mjs";

const LONGEST = 4 * 1024 * 1024; // The server's limit for a message, in bytes.

/** Starts the server: its process, its URL, and the pin of its key. */
async function serve(wsproto) {
  const options = ["serve", "--listen", "127.0.0.1:0", "--tls-self-signed", "--max-message-size", `${LONGEST}`];
  const server = spawn(wsproto, options, { stdio: ["ignore", "pipe", "inherit"] });
  const failed = once(server, "error").then(([error]) => Promise.reject(error));
  const lines = createInterface(server.stdout)[Symbol.asyncIterator]();
  const line = async (start) => {
    const { value = "" } = await Promise.race([lines.next(), failed]);
    check(value.startsWith(start), `the server printed '${value}', not '${start}'`);
    return value.slice(start.length);
  };
  const url = new URL((await line("listening on ")).replace("wss:", "https:"));
  await line("certificate SHA-256: ");
  return { server, url, pin: await line("public key pin (SPKI SHA-256): ") };
}

/** Runs in the page: a WebSocket whose messages and end can be waited for. */
function definePeer() {
  globalThis.Peer = class {
    constructor(path) {
      this.socket = new WebSocket(`wss://${location.host}${path}`);
      this.socket.binaryType = "arraybuffer";
      this.opened = new Promise((resolve) => { this.socket.onopen = resolve; });
      this.closed = new Promise((resolve) => {
        this.socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
      });
    }

    /** The next message, or how it ended before. */
    next() {
      return Promise.race([new Promise((resolve) => { this.socket.onmessage = ({ data }) => resolve(data); }), this.closed]);
    }

    /** What comes back for so many bytes that do not compress: nothing where it is the same. */
    async echo(size) {
      const sent = new Uint8Array(size);
      for (let at = 0; at < size; at += 65536) crypto.getRandomValues(sent.subarray(at, Math.min(at + 65536, size)));
      const next = this.next();
      this.socket.send(sent);
      const data = await next;
      if (!(data instanceof ArrayBuffer)) return JSON.stringify(data);
      const back = new Uint8Array(data);
      if (back.length !== size) return `${back.length} bytes`;
      const at = back.findIndex((byte, index) => byte !== sent[index]);
      return at < 0 ? null : `other bytes, from ${at} on`;
    }
  };
  globalThis.peers = [];
}

/** Opens so many at a time; all have to come by HTTP/2, with compression. */
async function open(page, count) {
  const opened = await page.evaluate((count) => Promise.all(Array.from({ length: count }, async () => {
    const peer = new Peer("/?http-version");
    peers.push(peer);
    const version = await peer.next();
    return { version, extensions: peer.socket.extensions };
  })), count);
  for (const { version, extensions } of opened) {
    check(version === "HTTP/2", `by HTTP/2 it was not, but: ${JSON.stringify(version)}`);
    check(extensions.startsWith("permessage-deflate"), `the extensions are '${extensions}'`);
  }
  return count;
}

async function echo(page, size) {
  const wrong = await page.evaluate((size) => Promise.all(peers.map((peer) => peer.echo(size))), size);
  check(wrong.every((what) => what === null), `${size} bytes did not come back: ${wrong.join("; ")}`);
}

function isClosed(ends, count, code, reason) {
  check(ends.length === count, `${ends.length} of ${count} WebSockets were open`);
  for (const end of ends) {
    const { code: seen, reason: said, wasClean } = end;
    check(seen === code && said === reason && wasClean, `instead of ${code} '${reason}': ${JSON.stringify(end)}`);
  }
}

/** The page closes all; how long that took at most, in milliseconds. */
async function close(page, count, code, reason) {
  const ends = await page.evaluate(([code, reason]) => Promise.all(peers.splice(0).map(async (peer) => {
    const begun = performance.now();
    peer.socket.close(code, reason);
    const end = await peer.closed;
    return { ...end, took: performance.now() - begun };
  })), [code, reason]);
  isClosed(ends, count, code, reason);
  const took = Math.max(...ends.map((end) => end.took));
  // A browser waits 2 s for the end of a stream that the server does not end.
  check(took < 1000, `from close() to onclose it took ${took} ms`);
  return took;
}

/** The server closes all, for this reason. */
async function isClosedBy(page, act, count, code, reason) {
  await act();
  isClosed(await page.evaluate(() => Promise.all(peers.splice(0).map((peer) => peer.closed))), count, code, reason);
}

/** What the browser noted: all these WebSockets were asked for on one connection of HTTP/2, and no stream of it was reset. */
function judge(file, { count, faulty }) {
  const events = readNetLog(file);
  const streams = webSocketStreams(events);
  for (const { session, stream, headers } of streams) {
    const shown = headers.filter((header) => /^:|^sec-websocket/.test(header)).join(" | ");
    console.log(`websockets: session ${session}, stream ${stream}: ${shown}`);
  }
  check(streams.length === count, `${streams.length} of ${count} WebSockets were asked for by HTTP/2`);
  check(new Set(streams.map(({ session }) => session)).size === 1, "they are not on one connection");
  check(upgrades(events).length === 0, "a WebSocket was asked for by HTTP/1.1");
  // What the server ends for a fault of the browser's, that may cancel: it learns of the end before it has answered the Close.
  const mayCancel = ({ name, params }) => name.includes("SEND") && params.stream_id === streams[faulty].stream;
  const resets = events.filter((event) => /^HTTP2_SESSION_(RECV|SEND)_RST_STREAM$/.test(event.name) && !mayCancel(event));
  check(resets.length === 0, `streams were reset: ${JSON.stringify(resets)}`);
}

/** What is done, in this order: how many WebSockets that took, which of them has to end for its fault, and how long closing took. */
async function use(page, server) {
  let count = await open(page, 3);
  await echo(page, LONGEST);
  const took = await close(page, 3, 4001, "seen enough");
  const faulty = count;
  count += await open(page, 1);
  await echo(page, 1000);
  const tooLong = () => page.evaluate((size) => peers.forEach((peer) => peer.socket.send(new Uint8Array(size))), LONGEST + 1);
  await isClosedBy(page, tooLong, 1, 1009, "message is too big");
  count += await open(page, 2);
  await echo(page, 1000);
  await isClosedBy(page, () => server.kill("SIGTERM"), 2, 1001, "the server stops");
  return { count, faulty, took };
}

async function main() {
  const string = { type: "string" };
  const { values } = parseArgs({ options: { wsproto: string, out: string } });
  if (!values.wsproto || !values.out) throw new Error("usage: websockets.mjs --wsproto PROGRAM --out DIR");
  mkdirSync(values.out, { recursive: true });
  const file = join(values.out, "net-log.json");
  rmSync(file, { force: true });
  const { server, url, pin } = await serve(values.wsproto);
  let seen;
  let version;
  try {
    const browser = await launch(url, pin, [`--log-net-log=${file}`]);
    version = browser.version();
    try {
      const page = await browser.newPage();
      page.setDefaultTimeout(TIMEOUT);
      // A page of this server that opens no WebSocket by itself.
      await page.goto(new URL("/text", url).href);
      await page.evaluate(definePeer);
      seen = await use(page, server);
      const [status] = server.exitCode === null ? await once(server, "exit") : [server.exitCode];
      check(status === 0, `the server ended with ${status}`);
    } finally {
      await browser.close();
    }
  } finally {
    server.kill("SIGKILL");
  }
  judge(file, seen);
  const took = seen.took.toFixed(1);
  console.log(`websockets: ok: Chromium ${version}, HTTP/2: ${checks()} checks; from close() to onclose ${took} ms`);
}

main().catch((error) => fail("websockets", error));
