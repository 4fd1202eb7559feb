// What comes before a page says that it is ready: other pages, a page in front, connections that are there already.

/** How long a page waits to be hidden, in milliseconds: browsers say so within a frame or two of being covered. */
const HIDING = 5000;

/** The credentials mode of a subscription's requests. */
export function credentialsOf(sub, mode) {
  return mode === "both" ? ["omit", "include"][sub % 2] : mode;
}

/**
 * Opens a page in a window or, where pages are to be behind each other, a tab.
 *
 * @returns {boolean} whether the browser let it
 */
export function openPage(url, hidden) {
  // Not noopener: a page can tell that a window was blocked only by what it is given.
  return window.open(url, "_blank", hidden ? "" : "popup,width=480,height=360") !== null;
}

/** Puts a page of its own in front of this one. It has no opener, so that the two share as little as two tabs do. */
export function cover() {
  window.open("/cover", "_blank", "noopener");
}

/** Waits until this page is hidden; `false` when that doesn't happen. */
export function hidden() {
  return new Promise((done) => {
    const timer = setTimeout(done, HIDING, false);
    const look = () => {
      if (document.visibilityState !== "hidden") return;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
      done(true);
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}

/**
 * Asks each host and port that will be subscribed at, in that order and one after another, and in each credentials
 * mode, as that may have a connection of its own. Once one has answered, the server's settings are known there.
 *
 * @param {{sub: number, host: string, port: number}[]} subscriptions
 * @param {(sub: number) => "omit" | "include"} mode
 * @param {(number: number) => string} query so that every request has an address of its own
 */
export async function warm(subscriptions, mode, query) {
  const asked = new Set();
  for (const { sub, host, port } of subscriptions) {
    const [origin, credentials] = [`https://${host}:${port}`, mode(sub)];
    const pool = `${credentials} ${origin}`;
    if (asked.has(pool)) continue;
    const answer = await fetch(`${origin}/ping?${query(asked.size)}`, { mode: "cors", cache: "no-store", credentials });
    if (!answer.ok) throw new Error(`${origin} answered ${answer.status} before \`go\``);
    asked.add(pool);
  }
}
