// Server-sent events in a browser: WHATWG HTML section 9.2.

/**
 * Subscribes to one feed.
 *
 * @param {{url: string, credentials: "omit" | "include", settings: object}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, closed: (reason: string) => void}} on
 *   called as it happens; each takes its own time first thing
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials }, on) {
  const source = new EventSource(url, { withCredentials: credentials === "include" });
  source.onopen = () => on.opened();
  source.onmessage = (event) => on.received(event.lastEventId, event.data);
  source.addEventListener("gap", (event) => {
    let told;
    try {
      told = JSON.parse(event.data);
    } catch {
      told = {};
    }
    on.gap(told?.missed ?? null, told?.first ?? null);
  });
  // The browser reconnects by itself, after `retry` or a time of its choosing; then it opens again. It gives up
  // on a wrong status or content type, and says no more than that (section 9.2.3, "fail the connection").
  source.onerror = () => on.closed(source.readyState === EventSource.CLOSED ? "the browser gave up" : "reconnecting");
  return { close: () => source.close() };
}
