// A WebSocket client (npm's `ws`) that takes and says the same lines as websocket.py:
//
//     NODE_PATH=… websocket.mjs ca.pem wss://localhost:8441/feeds/news/websocket [SUBPROTOCOL]

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const WebSocket = createRequire(`${process.env.NODE_PATH}/`)("ws");
const [ca, url, ...subprotocols] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const socket = new WebSocket(url, subprotocols, { ca: readFileSync(ca) });
socket.on("open", () => say({ open: socket.protocol || null }));
socket.on("unexpected-response", (_, { statusCode }) => {
  say({ refused: statusCode });
  process.exit();
});
socket.on("message", (data, binary) => say(binary ? { base64: data.toString("base64") } : { text: data.toString() }));
socket.on("pong", () => say({ pong: true }));
socket.on("close", (code, reason) => {
  say({ closed: code, reason: reason.toString() });
  process.exit();
});

createInterface({ input: process.stdin }).on("line", (line) => {
  const told = JSON.parse(line);
  if (told.text !== undefined) socket.send(told.text);
  else if (told.base64 !== undefined) socket.send(Buffer.from(told.base64, "base64"));
  else if (told.fragments) told.fragments.forEach((part, at) => socket.send(part, { fin: at + 1 === told.fragments.length }));
  else if (told.ping) socket.ping();
  else if (told.close) socket.close(told.close);
});
