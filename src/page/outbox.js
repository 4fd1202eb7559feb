// A page's lines to the lab: one post under way at a time, everything that gathered meanwhile in the next.

/** A post's length, in UTF-16 units; at three bytes each still below what the lab takes. */
const POST_LENGTH = 128 * 1024;
/** How often one post is tried. The lab passes over one that it has already taken. */
const TRIES = 3;

export class Outbox {
  #url;
  #broke;
  #lines = [];
  /** What `#lines` comes to, in UTF-16 units. */
  #length = 0;
  #post = 0;
  #draining = null;
  #sent = 0;
  #broken = false;

  /**
   * @param {(post: number) => string} url where post number so-and-so goes
   * @param {(error: Error) => void} broke called when the lab doesn't take a post
   */
  constructor(url, broke) {
    this.#url = url;
    this.#broke = broke;
  }

  /** How many facts were sent. */
  get sent() {
    return this.#sent;
  }

  /** Whether more waits than one post may have. */
  get isFull() {
    return this.#length >= POST_LENGTH;
  }

  /** Sends a fact. */
  saw(fact) {
    this.#sent += 1;
    this.line(JSON.stringify({ type: "saw", ...fact }));
  }

  /** Sends a fact that is already written as the JSON of its fields. */
  sawText(fields) {
    this.#sent += 1;
    this.line(`{"type":"saw",${fields}}`);
  }

  /** Sends any line. */
  line(text) {
    if (this.#broken) return;
    this.#lines.push(text);
    this.#length += text.length + 1;
    this.#draining ??= this.#drain();
  }

  /** Waits until the lab has taken everything. */
  async flushed() {
    while (this.#draining) await this.#draining;
  }

  async #drain() {
    try {
      // What one task says, a burst of openings say, leaves as one post.
      await null;
      while (this.#lines.length > 0 && !this.#broken) {
        await this.#send(this.#next());
        this.#post += 1;
      }
    } catch (error) {
      this.#broken = true;
      this.#broke(error);
    } finally {
      this.#draining = null;
    }
  }

  /** Takes as many lines as one post may have, and at least one. */
  #next() {
    let length = 0;
    let count = 0;
    while (count < this.#lines.length && (count === 0 || length + this.#lines[count].length < POST_LENGTH)) {
      length += this.#lines[count].length + 1;
      count += 1;
    }
    this.#length -= length;
    return this.#lines.splice(0, count).join("\n") + "\n";
  }

  async #send(body) {
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await fetch(this.#url(this.#post), { method: "POST", body, cache: "no-store" });
        if (answer.ok) return;
        const refused = new Error(`the lab refused a post: ${answer.status} ${await answer.text()}`);
        refused.refused = true;
        throw refused;
      } catch (error) {
        if (error.refused || tried === TRIES) throw error;
      }
    }
  }
}
