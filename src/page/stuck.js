// What one end never reads, beside a page's subscriptions.

/** How much is sent to a server that doesn't read it, in bytes: more than any server's window for one stream. */
const UNREAD = 1024 * 1024;

/** Answers whose content nobody asks for: a browser may end one that no script can reach any more. */
const kept = [];

/**
 * Asks for a response and never reads its content or, upwards, sends what the server never reads.
 *
 * @param {{host: string, port: number, path: string}} plan
 * @param {"down" | "up"} direction whose data is left unread
 * @param {"omit" | "include"} credentials
 * @param {AbortSignal} signal ends it
 */
export function leaveUnread({ host, port, path }, direction, credentials, signal) {
  const how = direction === "up" ? { method: "POST", body: "x".repeat(UNREAD) } : {};
  fetch(`https://${host}:${port}${path}`, { mode: "cors", cache: "no-store", credentials, signal, ...how }).then(
    (answer) => kept.push(answer),
    () => {},
  );
}
