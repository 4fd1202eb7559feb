// HTTP streaming in a browser: one fetch whose body goes on, newline-delimited JSON.

import { Lines } from "./lines.js";
import { subscribeToStream } from "./stream.js";

/** Subscribes to one feed. It doesn't reconnect. See `subscribeToStream`. */
export function subscribe(subscription, on) {
  return subscribeToStream(subscription, "application/x-ndjson", () => new Lines(), on);
}
