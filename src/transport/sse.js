// Server-sent events in a browser: WHATWG HTML section 9.2.

import { Parser } from "./sse-parser.js";

/**
 * Subscribes to one feed.
 *
 * @param {{url: string, credentials: "omit" | "include",
 *          settings: {reader?: "eventsource" | "fetch", cache?: "no-store" | "default"}}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, closed: (reason: string) => void}} on
 *   called as it happens; each takes its own time first thing
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials, settings, after }, on) {
  // Not as `Last-Event-ID`: a page may only send that after a preflight.
  if (after) url += `${url.includes("?") ? "&" : "?"}after=${after}`;
  return settings.reader === "fetch"
    ? fetched(url, { credentials, cache: settings.cache ?? "no-store" }, on)
    : eventSource(url, credentials, on);
}

function eventSource(url, credentials, on) {
  const source = new EventSource(url, { withCredentials: credentials === "include" });
  source.onopen = () => on.opened();
  source.onmessage = (event) => on.received(event.lastEventId, event.data);
  source.addEventListener("gap", (event) => gap(event.data, on));
  // The browser reconnects by itself, after `retry` or a time of its choosing; then it opens again. It gives up
  // on a wrong status or content type, and says no more than that (section 9.2.3, "fail the connection").
  source.onerror = () => on.closed(source.readyState === EventSource.CLOSED ? "the browser gave up" : "reconnecting");
  return { close: () => source.close() };
}

/** The same by fetch(). It doesn't reconnect. */
function fetched(url, { credentials, cache }, on) {
  const leaving = new AbortController();
  const read = async () => {
    const headers = { accept: "text/event-stream" };
    const answer = await fetch(url, { mode: "cors", credentials, cache, headers, signal: leaving.signal });
    if (answer.status !== 200) return `the server answered ${answer.status}`;
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
    }
  };
  read()
    .catch((error) => String(error?.message ?? error))
    .then((reason) => {
      if (!leaving.signal.aborted) on.closed(reason);
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
