// Multipart streaming in a browser: one fetch whose body goes on, each event a part of multipart/x-mixed-replace.

import { subscribeToStream } from "./stream.js";

/** How long a part may be, in UTF-16 units. */
const MAX_LENGTH = 2 * 1024 * 1024;

/** Subscribes to one feed. It doesn't reconnect. See `subscribeToStream`. */
export function subscribe(subscription, on) {
  return subscribeToStream(subscription, "multipart/x-mixed-replace", partsOf, on);
}

function partsOf(kind) {
  const boundary = /^multipart\/x-mixed-replace\s*;(?:.*;)?\s*boundary="?([^";]+)"?/i.exec(kind)?.[1];
  return boundary === undefined ? `the answer has no parts but is \`${kind}\`` : new Parts(boundary);
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
    // What follows the last delimiter is nobody's.
    if (this.#closed) return;
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
