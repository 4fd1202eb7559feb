// Multipart streaming in a browser: one fetch whose body goes on, each event a part of multipart/x-mixed-replace.

/** How long a part may be, in UTF-16 units. */
const MAX_LENGTH = 2 * 1024 * 1024;

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
    const headers = { accept: "multipart/x-mixed-replace" };
    const answer = await fetch(asked, { mode: "cors", credentials, cache: "no-store", headers, signal: leaving.signal });
    if (answer.status !== 200) return `the server answered ${answer.status}`;
    const kind = answer.headers.get("content-type") ?? "";
    const boundary = /^multipart\/x-mixed-replace\s*;(?:.*;)?\s*boundary="?([^";]+)"?/i.exec(kind)?.[1];
    if (boundary === undefined) return `the answer has no parts but is \`${kind}\``;
    on.opened();
    const reader = answer.body.getReader();
    const parts = new Parts(boundary);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "the server ended the stream";
      parts.push(value, (content) => {
        const event = JSON.parse(content);
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

/** Parts of a stream that comes in pieces of any length (RFC 2046 section 5.1.1). */
class Parts {
  // Holds back a character that is cut in two.
  #decoder = new TextDecoder();
  #delimiter;
  /** What is no part yet. The first delimiter has no line break before it. */
  #text = "\r\n";
  /** How much of it has no delimiter in it. */
  #looked = 0;
  /** What is before the first delimiter is no part. */
  #preamble = true;
  #closed = false;

  constructor(boundary) {
    this.#delimiter = `\r\n--${boundary}`;
  }

  /**
   * Takes bytes as they come.
   *
   * @param {Uint8Array} bytes
   * @param {(content: string) => void} each is given every part's content, unless there is none
   */
  push(bytes, each) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    while (!this.#closed) {
      const end = this.#text.indexOf(this.#delimiter, this.#looked);
      if (end < 0) break;
      const part = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + this.#delimiter.length);
      this.#looked = 0;
      if (!this.#preamble) this.#take(part, each);
      this.#preamble = false;
    }
    this.#looked = Math.max(0, this.#text.length - this.#delimiter.length);
    if (this.#text.length > MAX_LENGTH) throw new Error(`a part of more than ${MAX_LENGTH} units`);
  }

  #take(part, each) {
    // What follows the last delimiter on its line.
    this.#closed = part.startsWith("--");
    const fields = part.indexOf("\r\n\r\n");
    const content = fields < 0 ? "" : part.slice(fields + 4);
    if (!this.#closed && content !== "") each(content);
  }
}
