// WebTransport in a browser (W3C WebTransport).

import { Lines } from "./lines.js";

/** How long one event may be, in UTF-16 units. */
const EVENT_LENGTH = 8 * 1024 * 1024;
/** How many datagrams wait for the script at most, as with the native client; browsers keep one or a few otherwise. */
const WAITING = 256;
/** How long a server that ended its stream may take to say how the session ended, in milliseconds. */
const FAREWELL = 2000;

/**
 * Subscribes to one feed.
 *
 * @param {{url: string, after?: string, certificates?: string,
 *          settings: {mode?: "stream" | "streams" | "datagrams", publish?: "stream" | "datagram",
 *                     trust?: "ca" | "hash"}}} subscription
 *   `certificates` are the SHA-256 of those to trust with `hash`: base64, separated by commas
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, closed: (reason: string) => void}} on
 *   called as it happens; each takes its own time first thing
 * @returns {{close: () => void, send: (text: string) => void}}
 */
export function subscribe({ url, after, certificates, settings }, on) {
  const { mode = "stream", publish = "stream", trust = "ca" } = settings;
  const address = new URL(url);
  address.searchParams.set("mode", mode);
  if (after) address.searchParams.set("after", after);
  let session;
  try {
    session = new WebTransport(address, trust === "hash" ? { serverCertificateHashes: hashes(certificates) } : {});
  } catch (error) {
    // As late as any other answer: the caller has nothing yet to close.
    queueMicrotask(() => on.closed(said(error)));
    return { close() {}, send() {} };
  }
  let left = false;
  const leave = (reason) => {
    if (!left) on.closed(reason);
    left = true;
  };
  const broke = (error) => {
    leave(said(error));
    close(session);
  };
  const take = (text) => {
    if (!left) tell(JSON.parse(text), on);
  };
  session.ready.then(
    () => {
      if (left) return;
      on.opened();
      const read = { stream: readStream, streams: readStreams, datagrams: readDatagrams }[mode];
      read(session, take, broke).then(() => setTimeout(leave, FAREWELL, "the server ended the stream"), broke);
    },
    // `closed` says it as well.
    () => {},
  );
  session.closed.then(
    ({ closeCode, reason }) => leave(`the session ended: code ${closeCode}${reason ? `, ${reason}` : ""}`),
    (error) => leave(said(error)),
  );
  const send = publish === "datagram" ? datagramSender(session) : streamSender(session);
  return {
    close() {
      left = true;
      close(session);
    },
    send: (text) => send(new TextEncoder().encode(text)).catch(() => {}),
  };
}

/** All events on one stream, a line each; an empty line is a sign of life. */
async function readStream(session, take) {
  const streams = session.incomingUnidirectionalStreams.getReader();
  const { value, done } = await next(streams);
  if (done) return;
  const reader = value.getReader();
  const lines = new Lines();
  for (;;) {
    const { value, done } = await next(reader);
    if (done) return;
    lines.push(value, take);
  }
}

/** Each event on a stream of its own. */
async function readStreams(session, take, broke) {
  const streams = session.incomingUnidirectionalStreams.getReader();
  for (;;) {
    const { value, done } = await next(streams);
    if (done) return;
    readObject(value.getReader(), take).catch(broke);
  }
}

/** Takes the event once all of it is there, and reads on until the stream ends, which may be later or never. */
async function readObject(reader, take) {
  const decoder = new TextDecoder();
  let text = "";
  let taken = false;
  for (;;) {
    const { value, done } = await next(reader);
    if (done) return;
    if (taken) continue;
    text += decoder.decode(value, { stream: true });
    if (text.length > EVENT_LENGTH) throw new Error("the server sent an event that is too long");
    taken = text.endsWith("}") && isWhole(text);
    if (taken) take(text);
  }
}

/** An event's data may end a part of it with a brace, too. */
function isWhole(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function readDatagrams(session, take) {
  // Renamed in newer drafts.
  const { datagrams } = session;
  const name = "incomingMaxBufferedDatagrams" in datagrams ? "incomingMaxBufferedDatagrams" : "incomingHighWaterMark";
  datagrams[name] = WAITING;
  const reader = datagrams.readable.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await next(reader);
    if (done) return;
    take(decoder.decode(value));
  }
}

/** A reader's next value. What breaks off has ended: why is the session's to say. */
async function next(reader) {
  try {
    return await reader.read();
  } catch {
    return { done: true };
  }
}

/** Sends each event on a stream of its own. */
function streamSender(session) {
  return async (bytes) => {
    await session.ready;
    const writer = (await session.createUnidirectionalStream()).getWriter();
    await Promise.all([writer.write(bytes), writer.close()]);
  };
}

/** Sends each event in a datagram. */
function datagramSender(session) {
  let writer = null;
  return async (bytes) => {
    await session.ready;
    // Newer drafts give out as many of them as one asks for; older ones have one.
    const { datagrams } = session;
    writer ??= (datagrams.createWritable?.() ?? datagrams.writable).getWriter();
    await writer.write(bytes);
  };
}

function tell({ id, name, data, missed, first }, on) {
  if (name === "gap" && id === undefined) on.gap(missed ?? null, first ?? null);
  else on.received(id, data);
}

function hashes(certificates) {
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return (certificates ?? "").split(",").map((hash) => ({ algorithm: "sha-256", value: bytes(hash) }));
}

/** Closes a session, which may be over or not have begun. */
function close(session) {
  try {
    session.close();
  } catch {
    // It is closed.
  }
}

function said(error) {
  return String(error?.message || error);
}
