// HTTP streaming in a browser: one fetch whose body goes on, newline-delimited JSON.

import { Lines } from "./lines.js";

/**
 * Subscribes to one feed. It doesn't reconnect.
 *
 * @param {{url: string, credentials: "omit" | "include", after?: string}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, at?: (id: string) => void,
 *          closed: (reason: string) => void}} on called as it happens; each takes its own time first thing. `at`: the
 *   place in the feed, without an event
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials, after }, on) {
  const leaving = new AbortController();
  const read = async () => {
    const asked = after ? `${url}${url.includes("?") ? "&" : "?"}after=${after}` : url;
    const headers = { accept: "application/x-ndjson" };
    const answer = await fetch(asked, { mode: "cors", credentials, cache: "no-store", headers, signal: leaving.signal });
    if (answer.status !== 200) return `the server answered ${answer.status}`;
    on.opened();
    const reader = answer.body.getReader();
    const lines = new Lines();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "the server ended the stream";
      lines.push(value, (line) => {
        const event = JSON.parse(line);
        if (event.last !== undefined) on.at?.(event.last);
        else if (event.name === "gap" && event.id === undefined) on.gap(event.missed, event.first);
        else on.received(event.id, event.data);
      });
    }
  };
  read()
    .catch((error) => String(error?.message ?? error))
    .then((reason) => {
      if (!leaving.signal.aborted) on.closed(reason);
      // What is still to come is of no use to anyone.
      leaving.abort();
    });
  return { close: () => leaving.abort() };
}
