// A page's clock, and how it maps to the lab's.

const EXCHANGES = 20;
/** How many steps of the timer are looked at, and for how long at most, in milliseconds. */
const STEPS = 20;
const STEPS_TIME = 40;

/** Whole microseconds of `performance.now()`. */
export function now() {
  return Math.round(performance.now() * 1000);
}

/**
 * Compares clocks with the lab: of 20 exchanges the one with the smallest round trip counts.
 *
 * @param {(exchange: number) => string} url where the lab's clock is asked
 * @returns {Promise<{t: string, page: number, uncertainty: number, step: number}>} `t` nanoseconds of the lab, as
 *   text, were `page` microseconds here, give or take `uncertainty` nanoseconds; `step` is the timer's, in nanoseconds
 */
export async function compare(url) {
  let best = { round: Infinity };
  for (let exchange = 0; exchange < EXCHANGES; exchange += 1) {
    const before = performance.now();
    const answer = await fetch(url(exchange), { cache: "no-store" });
    const after = performance.now();
    if (!answer.ok) throw new Error(`the lab's clock answered ${answer.status}`);
    const { t } = await answer.json();
    if (!/^\d{1,19}$/.test(t)) throw new Error("the lab's clock said no time");
    if (after - before < best.round) best = { round: after - before, middle: (before + after) / 2, t };
  }
  const step = Math.round(timerStep() * 1e6);
  return {
    t: best.t,
    page: Math.round(best.middle * 1000),
    uncertainty: Math.round((best.round / 2) * 1e6) + step,
    step,
  };
}

/** The least time that `performance.now()` moves by, in milliseconds. */
function timerStep() {
  const begin = performance.now();
  let last = begin;
  let least = Infinity;
  for (let steps = 0; steps < STEPS && last - begin < STEPS_TIME; ) {
    const next = performance.now();
    if (next === last) continue;
    least = Math.min(least, next - last);
    last = next;
    steps += 1;
  }
  return least;
}
