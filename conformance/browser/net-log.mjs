// What Chromium notes of the network, by `--log-net-log=FILE`.
import { readFileSync } from "node:fs";

/** The events of a finished log: each with the name of its type, the number of what it is about, and its parameters. */
export function readNetLog(file) {
  const { constants, events } = JSON.parse(readFileSync(file, "utf8"));
  const names = new Map(Object.entries(constants.logEventTypes).map(([name, number]) => [number, name]));
  return events.map(({ type, source, params }) => ({ name: names.get(type), source: source.id, params: params ?? {} }));
}

/** The streams that were asked for by an extended CONNECT for a WebSocket (RFC 8441): session, number, and all that is in it. */
export function webSocketStreams(events) {
  const asked = events.filter(({ name, params }) => name === "HTTP2_SESSION_SEND_HEADERS"
    && params.headers.includes(":method: CONNECT") && params.headers.includes(":protocol: websocket"));
  return asked.map(({ source, params }) => ({ session: source, stream: params.stream_id, headers: params.headers }));
}

/** The requests for a WebSocket that were made by HTTP/1.1. */
export const upgrades = (events) => events.filter(({ name, params }) =>
  name === "HTTP_TRANSACTION_SEND_REQUEST_HEADERS" && params.headers?.some((header) => /^upgrade: *websocket$/i.test(header)));
