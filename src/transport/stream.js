// One response that goes on, in a browser: what scripts have in common whose events are pieces of one fetch.

/**
 * Asks for it after the last event that is known, and reads it to its end. It doesn't reconnect.
 *
 * @param {{url: string, credentials: "omit" | "include", after?: string}} subscription
 * @param {string} accept the type that is wanted
 * @param {(kind: string) => {push: (bytes: Uint8Array, each: (json: string) => void) => void} | string} parserOf
 *   what finds the events in an answer of this type, or why it can't be read
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, at?: (id: string) => void,
 *          closed: (reason: string) => void}} on called as it happens; each takes its own time first thing. `at`: the
 *   place in the feed, without an event
 * @returns {{close: () => void}}
 */
export function subscribeToStream({ url, credentials, after }, accept, parserOf, on) {
  const leaving = new AbortController();
  const read = async () => {
    const asked = after ? `${url}${url.includes("?") ? "&" : "?"}after=${after}` : url;
    const headers = { accept };
    const answer = await fetch(asked, { mode: "cors", credentials, cache: "no-store", headers, signal: leaving.signal });
    if (answer.status !== 200) return `the server answered ${answer.status}`;
    const parser = parserOf(answer.headers.get("content-type") ?? "");
    if (typeof parser === "string") return parser;
    on.opened();
    const reader = answer.body.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "the server ended the stream";
      parser.push(value, (json) => {
        const event = JSON.parse(json);
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
