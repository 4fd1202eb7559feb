// One poll, of either kind, in a browser: what both polling transports ask and are answered.

/** How long an answer a page takes, in UTF-16 units. */
const MAX_LENGTH = 8 * 1024 * 1024;

/** An address with `NAME=VALUE` added to its query. Neither needs escaping. */
export function withQuery(url, name, value) {
  return `${url}${url.includes("?") ? "&" : "?"}${name}=${value}`;
}

/**
 * Asks once.
 *
 * @param {string} url
 * @param {{credentials: "omit" | "include", tag?: string, signal: AbortSignal}} how `tag`: the entity tag of the answer
 *   that is known already; a field that a page may only send after a preflight
 * @returns {Promise<{events: object[], last: string, more?: boolean} | null>} `null`: that answer still holds
 */
export async function ask(url, { credentials, tag, signal }) {
  const headers = { accept: "application/json", ...(tag ? { "if-none-match": tag } : {}) };
  const answer = await fetch(url, { mode: "cors", credentials, cache: "no-store", headers, signal });
  if (answer.status === 304 && tag) return null;
  if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`);
  const text = await answer.text();
  if (text.length > MAX_LENGTH) throw new Error(`an answer of more than ${MAX_LENGTH} units`);
  return JSON.parse(text);
}

/** Tells what came with an answer: its events and gaps, and where that leaves the reader. */
export function tell({ events, last }, on) {
  for (const event of events) {
    if (event.name === "gap" && event.id === undefined) on.gap(event.missed, event.first);
    else on.received(event.id, event.data);
  }
  on.at?.(last);
}

/** Sleeps, unless left. */
export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const left = () => reject(signal.reason);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", left);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", left, { once: true });
    if (signal.aborted) {
      clearTimeout(timer);
      left();
    }
  });
}

/** A length of time as settings write it (`"250ms"`), in milliseconds. */
export function milliseconds(span) {
  const [, number, unit] = /^([\d.]+)\s*(ns|us|ms|s|min)$/.exec(span);
  return Number(number) * { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, min: 6e4 }[unit];
}
