// What one page received: kept in memory while the trial is timed, checked and told afterwards.

/** Data kept for checking after the trial, in UTF-16 units over all of a page; beyond it data is checked at once. */
const KEPT_LENGTH = 4 * 1024 * 1024;
/** How many receipts a page keeps. One more breaks the trial, so that nothing is lost unseen. */
const RECEIPTS = 1_000_000;
/** An id's length that is told; a longer one was never published, and is just as wrong when it is cut. */
const ID_LENGTH = 256;
/** A line's receipts, in UTF-16 units. */
const LINE_LENGTH = 48 * 1024;

export class Receipts {
  #bySub = new Map();
  #kept = 0;
  #count = 0;
  /** Whether data may be what a client sent: then its number is the sender's, and no part of the id. */
  ofClients = false;

  /** How many there are. */
  get count() {
    return this.#count;
  }

  /** Takes one: at `t` microseconds, subscription `sub` received `id` with `data`. */
  add(sub, t, id, data) {
    this.#count += 1;
    if (this.#count > RECEIPTS) throw new Error(`a page received more than ${RECEIPTS} events`);
    let of = this.#bySub.get(sub);
    if (!of) this.#bySub.set(sub, (of = { ids: [], t: [], data: [] }));
    of.ids.push(id.slice(0, ID_LENGTH));
    of.t.push(t);
    // `true` and `false` are verdicts, a text is still to be checked.
    const keep = this.#kept + data.length <= KEPT_LENGTH;
    if (keep) this.#kept += data.length;
    of.data.push(keep ? data : this.#isRight(id, data));
  }

  /** Yields `received` facts, each bounded in size. */
  *facts() {
    for (const [sub, { ids, t, data }] of this.#bySub) {
      let from = 0;
      while (from < ids.length) {
        const wrong = [];
        let to = from;
        for (let length = 0; to < ids.length && length < LINE_LENGTH; to += 1) {
          const id = ids[to];
          length += id.length + 20;
          const right = typeof data[to] === "string" ? this.#isRight(id, data[to]) : data[to];
          if (!right) {
            wrong.push(id);
            length += id.length;
          }
        }
        yield { kind: "received", t: t.slice(from, to), sub, ids: ids.slice(from, to), ...(wrong.length ? { wrong } : {}) };
        from = to;
      }
    }
  }

  #isRight(id, data) {
    const of = this.ofClients ? null : id;
    return isContent(of, data) || isContent(of, decoded(data));
  }
}

/**
 * Whether data is what was published under an id (`null`: any): `HHHHHHHH SEQ FILLER`, H the FNV-1a hash of all that
 * follows the first space, SEQ the number that ends the id.
 */
export function isContent(id, data) {
  const parts = /^([0-9a-f]{8}) ((\d+) [\x20-\x7e]*)$/.exec(data);
  if (parts === null || (id !== null && !id.endsWith(`-${parts[3]}`))) return false;
  return fnv1a(parts[2]) === Number.parseInt(parts[1], 16);
}

/** What was bytes, of the base64 that what carries text alone has of it; other text stays as it is. */
function decoded(data) {
  try {
    return atob(data);
  } catch {
    return data;
  }
}

/** Data that says this number, so many bytes long, or as long as the check needs. */
export function contentOf(number, size) {
  const rest = `${number} `.padEnd(size - 9, "x");
  return `${fnv1a(rest).toString(16).padStart(8, "0")} ${rest}`;
}

/** FNV-1a, 32 bits, over text that is all ASCII (the pattern above lets nothing else through). */
function fnv1a(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
