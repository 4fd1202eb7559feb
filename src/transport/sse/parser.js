// Reads `text/event-stream` (WHATWG HTML section 9.2.6, "Interpreting an event stream"), for a page that fetches.

/** How long a line, or an event's data, may be, in UTF-16 units. The standard sets no bound; a reader needs one. */
// A trial's largest event has 1 MiB of data, on a line with a field's name.
const MAX_LENGTH = 2 * 1024 * 1024;

export class Parser {
  // Takes one leading byte order mark away, and holds back a character that is cut in two.
  #decoder = new TextDecoder();
  #line = "";
  /** Whether the last character was a CR, so that a following LF belongs to it. */
  #afterCr = false;
  #name = "";
  #data = "";
  #id = "";
  #lastId = "";
  #retry = null;

  /** What the stream last said to wait before reconnecting, in milliseconds, or `null`. */
  get retry() {
    return this.#retry;
  }

  /** The last event id: what a reader that comes back says it has. It may be given without an event. */
  get lastId() {
    return this.#lastId;
  }

  /**
   * Takes bytes as they come.
   *
   * @param {Uint8Array} bytes
   * @param {(message: {name: string, data: string, id: string}) => void} each is given every event that they complete
   */
  push(bytes, each) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") return;
    const cr = text.endsWith("\r");
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    this.#afterCr = cr;
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    for (const line of lines) this.#take(line, each);
    if (this.#line.length > MAX_LENGTH) throw new TooLong();
  }

  #take(line, each) {
    if (line.length > MAX_LENGTH) throw new TooLong();
    if (line === "") return this.#dispatch(each);
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (field) {
      case "event":
        this.#name = value;
        break;
      case "data":
        if (this.#data.length + value.length > MAX_LENGTH) throw new TooLong();
        this.#data += `${value}\n`;
        break;
      case "id":
        if (!value.includes("\0")) this.#id = value;
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) this.#retry = Number(value);
        break;
      // A comment has an empty field name; others are to be passed over.
    }
  }

  #dispatch(each) {
    const [name, data] = [this.#name || "message", this.#data];
    this.#lastId = this.#id;
    this.#name = "";
    this.#data = "";
    if (data !== "") each({ name, data: data.slice(0, -1), id: this.#id });
  }
}

class TooLong extends Error {
  constructor() {
    super(`an event stream with a line or an event of more than ${MAX_LENGTH} units`);
  }
}
