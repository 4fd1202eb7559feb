// Long polling in a browser: a fetch that waits for an event, and the next one as soon as it has come.

import { ask, milliseconds, tell, withQuery } from "./poll.js";

/** How much longer than the wait a page listens before it asks again, in milliseconds. */
const GRACE = 10_000;

/**
 * Subscribes to one feed. The first request learns where the feed is and doesn't wait; all others do.
 *
 * @param {{url: string, credentials: "omit" | "include", after?: string, settings: {wait?: string}}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, at?: (id: string) => void,
 *          closed: (reason: string) => void}} on called as it happens
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials, settings, after }, on) {
  const leaving = new AbortController();
  const wait = settings.wait ?? "30s";
  let last = after;
  const poll = async () => {
    let opened = false;
    for (;;) {
      const asked = withQuery(url, "wait", opened ? wait : "0s");
      const late = AbortSignal.timeout((opened ? milliseconds(wait) : 0) + GRACE);
      const signal = AbortSignal.any([leaving.signal, late]);
      let answer;
      try {
        answer = await ask(last ? withQuery(asked, "after", last) : asked, { credentials, signal });
      } catch (error) {
        // No answer, and no error either: asked again.
        if (late.aborted && !leaving.signal.aborted) continue;
        throw error;
      }
      if (leaving.signal.aborted) return;
      if (!opened) on.opened();
      opened = true;
      tell(answer, on);
      last = answer.last;
    }
  };
  poll().catch((error) => {
    if (!leaving.signal.aborted) on.closed(String(error?.message ?? error));
  });
  return { close: () => leaving.abort() };
}
