// One subscription of a page: it opens, comes back when it has ended, and sends what is due.

import { now } from "./clock.js";
import { contentOf } from "./receipts.js";

/** Events that wait for a connection to be sent on. One more is not sent, and so lost. */
const WAITING = 1024;

export class Subscription {
  #plan;
  #script;
  #how;
  #on;
  #random;
  /** What the script gave for the connection that there is. */
  #handle = null;
  #isOpen = false;
  #ended = false;
  #last = undefined;
  /** What the server wants the first wait to be, in milliseconds. */
  #retry = undefined;
  #tried = 0;
  /** Which of the servers it asks: 0 is the plan's own. */
  #server = 0;
  #timer = 0;
  #waiting = [];
  /** The most bytes that waited to be sent at once. */
  #buffered = undefined;

  /**
   * @param {{sub: number, host: string, port: number, others?: {host: string, port: number}[], path: string}} plan
   * @param {{subscribe: Function, reconnects?: (settings: object) => boolean}} script the transport's module
   * @param {{alpn: string, credentials: "omit" | "include", settings: object, certificates: string, seed: number, size: number,
   *          signal: AbortSignal,
   *          reconnect: {tries: number, delay: number, factor: number, most: number, jitter: string}}} how
   *   waits in milliseconds; `size` is that of what it sends, in bytes
   * @param {{saw: (fact: object) => void, received: (sub: number, t: number, id: string, data: string) => void,
   *          changed: (by: number) => void}} on
   */
  constructor(plan, script, how, on) {
    [this.#plan, this.#script, this.#how, this.#on] = [plan, script, how, on];
    this.#random = randomOf(how.seed);
  }

  /** Asks for it. */
  open() {
    if (this.#ended) return;
    const { sub, others = [] } = this.#plan;
    const { alpn, credentials, settings, certificates, seed } = this.#how;
    this.#on.saw({ kind: "requested", t: now(), sub });
    const url = this.#url();
    const subscription = { url, alpn, credentials, settings, certificates, seed, after: this.#last };
    let [over, failed] = [false, 0];
    const heard = (act) => (...told) => {
      const t = now();
      if (!this.#ended && !over) act(t, ...told);
    };
    this.#handle = this.#script.subscribe(subscription, {
      opened: heard((t) => {
        this.#set(true);
        this.#tried = 0;
        failed = 0;
        this.#on.saw({ kind: "opened", t, sub });
        for (const data of this.#waiting.splice(0)) this.#handle.send(data);
      }),
      received: heard((t, id, data) => {
        this.#last = id;
        this.#on.received(sub, t, id, data);
      }),
      at: heard((_, id) => {
        this.#last = id;
      }),
      gap: heard((t, missed, first) => this.#on.saw({ kind: "gap", t, sub, missed, first })),
      retry: heard((_, wait) => {
        this.#retry = wait;
      }),
      buffered: heard((_, bytes) => {
        this.#buffered = Math.max(bytes, this.#buffered ?? 0);
      }),
      closed: heard((t, reason, { finished = false, gaveUp = false } = {}) => {
        this.#set(false);
        this.#on.saw({ kind: "closed", t, sub, reason });
        failed += 1;
        // An `EventSource` comes back by itself, and always to its own URL. Where there are several servers a site has one
        // name for all of them, of which a browser may try another address, or a load balancer in front. A page that knows
        // their URLs opens another `EventSource`: once this one has given up, or has asked again in vain.
        if (this.#script.reconnects?.(settings)) {
          if (others.length === 0 || (!gaveUp && failed < 2)) return;
          this.#handle?.close();
        }
        over = true;
        if (finished) return;
        this.#server += 1;
        this.#comeBack();
      }),
    });
  }

  /** Sends event number `event`, due at `scheduled`: on what it reads from if the script can, else by a POST. */
  send(event, scheduled) {
    const data = contentOf(event + 1, this.#how.size);
    this.#on.saw({ kind: "sent", t: now(), sub: this.#plan.sub, event, scheduled: Math.round(scheduled) });
    if (!this.#handle?.send) this.#post(data);
    else if (this.#isOpen) this.#handle.send(data);
    else if (this.#waiting.length < WAITING) this.#waiting.push(data);
  }

  /** Ends it. Nothing more is told of it. */
  close() {
    const [sub, most] = [this.#plan.sub, this.#buffered];
    if (most !== undefined && !this.#ended) this.#on.saw({ kind: "buffered", t: now(), sub, most });
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#handle?.close();
  }

  /** Where it is at the server whose turn it is. */
  #url() {
    const { host, port, others = [], path } = this.#plan;
    const servers = [{ host, port }, ...others];
    const server = servers[this.#server % servers.length];
    return `https://${server.host}:${server.port}${path}`;
  }

  /** One that fails is not sent again, as nobody knows whether it was published. */
  #post(data) {
    const { credentials, signal } = this.#how;
    // `/feeds/f0?trial=7` for `/feeds/f0/sse?trial=7`.
    const url = this.#url().replace(/\/[^/?]*(\?|$)/, "$1");
    const mode = { method: "POST", mode: "cors", cache: "no-store" };
    fetch(url, { ...mode, body: data, credentials, signal }).catch(() => {});
  }

  /** The native client's rule: `delay` times `factor` for each try in a row, at most `most`, less the jitter. */
  #comeBack() {
    const { tries, delay, factor, most, jitter } = this.#how.reconnect;
    if (this.#tried >= tries) return;
    const wait = Math.min(most, (this.#retry ?? delay) * factor ** this.#tried);
    this.#tried += 1;
    const part = { none: () => 1, full: this.#random, equal: () => 0.5 + this.#random() / 2 }[jitter];
    this.#timer = setTimeout(() => this.open(), wait * part());
  }

  #set(isOpen) {
    this.#on.changed(Number(isOpen) - Number(this.#isOpen));
    this.#isOpen = isOpen;
  }
}

/** Numbers from 0 to below 1, the same for the same 32 bits: mulberry32, as `Math.random` takes no seed. */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
