// Server-sent events in a browser: WHATWG HTML section 9.2.

import { Parser } from "./sse-parser.js";

/**
 * Subscribes to one feed.
 *
 * @param {{url: string, credentials: "omit" | "include",
 *          after?: string, settings: {reader?: "eventsource" | "fetch", cache?: "no-store" | "default"}}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, at?: (id: string) => void,
 *          retry?: (milliseconds: number) => void,
 *          closed: (reason: string, how?: {finished?: boolean, gaveUp?: boolean}) => void}} on
 *   called as it happens; each takes its own time first thing. `at`: the place in the feed, without an event; `retry`:
 *   how long the server wants a reader to wait before it comes back; `finished`: it shouldn't come back at all; `gaveUp`:
 *   what comes back by itself won't any more
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials, settings, after }, on) {
  // Not as `Last-Event-ID`: a page may only send that after a preflight.
  if (after) url += `${url.includes("?") ? "&" : "?"}after=${after}`;
  return settings.reader === "fetch"
    ? fetched(url, { credentials, cache: settings.cache ?? "no-store" }, on)
    : eventSource(url, credentials, on);
}

/** Whether what reads comes back by itself. */
export function reconnects(settings) {
  return settings.reader !== "fetch";
}

function eventSource(url, credentials, on) {
  const source = new EventSource(url, { withCredentials: credentials === "include" });
  source.onopen = () => on.opened();
  source.onmessage = (event) => on.received(event.lastEventId, event.data);
  source.addEventListener("gap", (event) => gap(event.data, on));
  // The browser reconnects by itself, after `retry` or a time of its choosing; then it opens again. It gives up
  // on a wrong status or content type, and says no more than that (section 9.2.3, "fail the connection").
  source.onerror = () => {
    const gaveUp = source.readyState === EventSource.CLOSED;
    on.closed(gaveUp ? "the browser gave up" : "reconnecting", { gaveUp });
  };
  return { close: () => source.close() };
}

/** The same by fetch(). It doesn't reconnect. */
function fetched(url, { credentials, cache }, on) {
  const leaving = new AbortController();
  let finished = false;
  const read = async () => {
    const headers = { accept: "text/event-stream" };
    const answer = await fetch(url, { mode: "cors", credentials, cache, headers, signal: leaving.signal });
    const kind = answer.headers.get("content-type") ?? "";
    const isStream = kind.split(";")[0].trim().toLowerCase() === "text/event-stream";
    // Section 9.2.3: neither is tried again.
    finished = answer.status === 204 || (answer.status === 200 && !isStream);
    if (answer.status !== 200) return `the server answered ${answer.status}`;
    if (!isStream) return `the answer is no event stream but \`${kind}\``;
    on.opened();
    const reader = answer.body.getReader();
    const parser = new Parser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "the server ended the stream";
      parser.push(value, ({ name, data, id }) => {
        if (name === "message") on.received(id, data);
        else if (name === "gap") gap(data, on);
      });
      if (parser.retry !== null) on.retry?.(parser.retry);
      if (parser.lastId !== "") on.at?.(parser.lastId);
    }
  };
  read()
    .catch((error) => String(error?.message ?? error))
    .then((reason) => {
      if (!leaving.signal.aborted) on.closed(reason, { finished });
      // What is still to come is of no use to anyone.
      leaving.abort();
    });
  return { close: () => leaving.abort() };
}

function gap(data, on) {
  let told;
  try {
    told = JSON.parse(data);
  } catch {
    told = {};
  }
  on.gap(told?.missed ?? null, told?.first ?? null);
}
