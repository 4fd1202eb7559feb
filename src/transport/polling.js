// Polling in a browser: one fetch after another, at an interval.

import { ask, milliseconds, sleep, tell, withQuery } from "./poll.js";

/**
 * Subscribes to one feed: polls at once, then after the phase, then at the interval.
 *
 * @param {{url: string, credentials: "omit" | "include", after?: string, seed?: number,
 *          settings: {interval?: string, phase?: "random" | "zero", etag?: boolean}}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, at?: (id: string) => void,
 *          closed: (reason: string) => void}} on called as it happens
 * @returns {{close: () => void}}
 */
export function subscribe({ url, credentials, settings, after, seed = 0 }, on) {
  const leaving = new AbortController();
  const { signal } = leaving;
  const interval = milliseconds(settings.interval ?? "1s");
  const phase = settings.phase === "zero" ? 0 : interval * drawn(seed);
  let last = after;
  const poll = async () => {
    const opening = performance.now();
    let opened = false;
    for (;;) {
      const tag = settings.etag && last ? `"${last}"` : undefined;
      const answer = await ask(last ? withQuery(url, "after", last) : url, { credentials, tag, signal });
      if (signal.aborted) return;
      if (!opened) on.opened();
      opened = true;
      if (answer) {
        tell(answer, on);
        last = answer.last;
      }
      if (answer?.more) continue;
      // By the clock, not by the answers: a slow one delays no later poll, it takes its place.
      const since = performance.now() - opening;
      const next = since < phase ? phase - since : interval - ((since - phase) % interval);
      await sleep(next, signal);
    }
  };
  poll().catch((error) => {
    if (!signal.aborted) on.closed(String(error?.message ?? error));
  });
  return { close: () => leaving.abort() };
}

/** A number from 0 to below 1 for a whole number: the end of MurmurHash3 (32 bits), which spreads neighbours. */
function drawn(seed) {
  let bits = seed >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
