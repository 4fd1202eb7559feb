// What is to be done at which microsecond of a page.

import { now } from "./clock.js";

/** A timer's step, in milliseconds. */
const STEP = 1;

export class Agenda {
  /** Earliest first. */
  #items = [];
  #timer = 0;
  #tick = new MessageChannel();

  constructor() {
    this.#tick.port1.onmessage = () => this.look();
  }

  /** @param {{at: number, act: () => void}[]} items `at`: in microseconds of this page */
  begin(items) {
    this.#items = items.sort((a, b) => a.at - b.at);
    this.look();
  }

  /** Does everything that is due, in one task, and looks again when the next is. */
  look() {
    clearTimeout(this.#timer);
    const due = now();
    let count = 0;
    while (count < this.#items.length && this.#items[count].at <= due) count += 1;
    for (const { act } of this.#items.splice(0, count)) act();
    if (this.#items.length === 0) return;
    const wait = Math.max(0, (this.#items[0].at - now()) / 1000);
    // What is due within a timer's step is waited for by messages: a message is a task like any other, and what
    // arrives meanwhile has its turn in between. And a timer that was set by a timer, that by another and so on, comes
    // up to 4 ms late (WHATWG HTML, "timers"), but not one that was set by a message.
    if (wait < STEP) this.#wake();
    else this.#timer = setTimeout(() => this.#wake(), Math.floor(wait));
  }

  #wake() {
    this.#tick.port2.postMessage(null);
  }

  /** Nothing more is due. */
  end() {
    clearTimeout(this.#timer);
    this.#items = [];
  }
}
