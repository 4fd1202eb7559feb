// Lines of a stream that comes in pieces of any length.

/** How long a line may be, in UTF-16 units. */
const MAX_LENGTH = 2 * 1024 * 1024;

export class Lines {
  // Holds back a character that is cut in two.
  #decoder = new TextDecoder();
  /** The line that isn't finished yet, in pieces: joined once, as long lines come in many. */
  #pieces = [];
  #length = 0;

  /**
   * Takes bytes as they come.
   *
   * @param {Uint8Array} bytes
   * @param {(line: string) => void} each is given every line that they complete; an empty one is passed over
   */
  push(bytes, each) {
    const lines = this.#decoder.decode(bytes, { stream: true }).split("\n");
    const rest = lines.pop();
    for (const line of lines) {
      this.#grow(line);
      const whole = this.#pieces.join("");
      this.#pieces = [];
      this.#length = 0;
      if (whole.trim() !== "") each(whole);
    }
    this.#grow(rest);
  }

  #grow(piece) {
    this.#length += piece.length;
    if (this.#length > MAX_LENGTH) throw new Error(`a line of more than ${MAX_LENGTH} units`);
    if (piece !== "") this.#pieces.push(piece);
  }
}
