// The trial page: one page's part of a trial, driven by the lab's lines from its first to its last.

import { Agenda } from "./agenda.js";
import { cover, credentialsOf, hidden, openPage, warm } from "./beginning.js";
import { act } from "./beside.js";
import { compare, now } from "./clock.js";
import { Outbox } from "./outbox.js";
import { Receipts } from "./receipts.js";
import { leaveUnread } from "./stuck.js";
import { Subscription } from "./subscription.js";

const query = new URLSearchParams(location.search);
const trial = location.pathname.split("/")[2];
const token = query.get("token");
const page = Number(query.get("page"));

/** Where the lab is: another origin where this page is of the server under test, so that what it reports never waits
 *  behind what it measures. */
const { control } = document.documentElement.dataset;

/** A route of this trial, for this page. */
function route(name, more = {}) {
  return `${control}${own(name, more)}`;
}

/** The same at this page's own origin. */
function own(name, more = {}) {
  return `/trials/${trial}/${name}?${new URLSearchParams({ token, page, ...more })}`;
}

const outbox = new Outbox((post) => route("contract", { post }), broke);
const receipts = new Receipts();
/** Ends what is still under way at `stop`. */
const leaving = new AbortController();
const agenda = new Agenda();
/** By number. */
const open = new Map();
/** By actor: what to do once its page in another tab is there. */
const arrivals = new Map();
let opened = 0;
let message = null;
let stopped = false;
let broken = false;

addEventListener("error", (event) => broke(event.error ?? new Error(event.message)));
addEventListener("unhandledrejection", (event) => broke(event.reason));
setInterval(show, 250);
follow().catch(broke);

/** Reads the lab's lines. Their end is `stop`. */
async function follow() {
  const answer = await fetch(route("contract"), { cache: "no-store" });
  if (!answer.ok) throw new Error(`the lab answered ${answer.status} ${await answer.text()}`);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  }
  stop();
}

function take(line) {
  switch (line.type) {
    case "trial":
      message = line;
      show();
      prepare().catch(broke);
      break;
    case "go":
      go(line.at);
      break;
    // The lab's reminder that something is due: a hidden page's own timers may be a second late.
    case "look":
      agenda.look();
      break;
    // A page that was asked for in another tab is there.
    case "arrived":
      arrivals.get(line.actor)?.();
      break;
    case "stop":
      stop();
      break;
  }
}

/** The transport's module. */
let script = null;

async function prepare() {
  say("Getting ready");
  const { protocol, settings } = message;
  const { pages, visibility, open, prepare: prepared } = settings.workload;
  const behind = visibility === "hidden";
  for (let other = 1; page === 0 && other < pages; other += 1) {
    if (!openPage(own("page", { page: other }), behind)) return unsupported("this browser lets no page open another");
  }
  if (behind) {
    // WebKitGTK is started with a page in front.
    if (page === 0 && document.visibilityState !== "hidden") cover();
    if (!(await hidden())) return unsupported("a page with another tab in front of it does not count as hidden here");
  }
  script = await import(`/transports/${protocol.split("/")[0]}.js`);
  receipts.ofClients = settings.workload.direction !== "down";
  if (open === "after-settings" || prepared === "connection") {
    say("Connecting to the server");
    const query = (number) => new URLSearchParams({ trial: message.trial, warm: `${page}-${number}` });
    await warm(message.subscriptions, credentials, query);
  }
  const { t, ...clock } = await compare((exchange) => route("clock", { exchange }));
  const facts = { ...clock, visibility: document.visibilityState, isolated: self.crossOriginIsolated === true };
  // By hand, because the lab's nanoseconds may be more than a number holds exactly.
  outbox.sawText(`"kind":"clock","t":${t},${JSON.stringify(facts).slice(1, -1)}`);
  outbox.line(JSON.stringify({ type: "ready", version: await version() }));
  say("Ready");
}

/** The credentials mode of a subscription's requests. */
function credentials(sub) {
  return credentialsOf(sub, message.settings.workload.credentials);
}

async function version() {
  const told = await navigator.userAgentData?.getHighEntropyValues(["fullVersionList"]).catch(() => null);
  const brands = (told?.fullVersionList ?? []).filter(({ brand }) => !/not.?a.?brand/i.test(brand));
  const brand = brands.find(({ brand }) => brand !== "Chromium") ?? brands[0];
  if (brand) return `${brand.brand} ${brand.version}`;
  const firefox = /Firefox\/([\d.]+)/.exec(navigator.userAgent);
  return firefox ? `Firefox ${firefox[1]}` : navigator.userAgent;
}

/** @param {number} at the timeline's 0, in microseconds of this page */
function go(at) {
  say("Running");
  const { subscriptions, settings } = message;
  const { workload } = settings;
  const items = [];
  // First, and where the subscriptions go: on the connections that these will use.
  for (const plan of message.stuck ?? []) {
    const mode = script.credentials ?? credentials(plan.sub);
    items.push({ at, act: () => leaveUnread(plan, workload["stuck-direction"], mode, leaving.signal) });
  }
  for (const plan of subscriptions) {
    const subscription = subscriptionOf(plan);
    open.set(plan.sub, subscription);
    items.push({ at: at + plan["open-at"] / 1000, act: () => subscription.open() });
    for (const send of plan.sends ?? []) {
      const due = at + send.at / 1000;
      items.push({ at: due, act: () => subscription.send(send.event, due) });
    }
  }
  if (page === 0 && subscriptions.length > 0) {
    const middle = at + microseconds(workload.ramp) + microseconds(workload.hold) / 2;
    if (workload.probe) items.push({ at: middle, act: probe });
    settings.beside.forEach((beside, actor) => {
      items.push({ at: at + microseconds(beside.at), act: () => doBeside(beside, actor) });
    });
  }
  agenda.begin(items);
}

/** A length of time as settings write it (`"250ms"`), in microseconds. */
function microseconds(span) {
  const [, number, unit] = /^([\d.]+)\s*(ns|us|ms|s|min)$/.exec(span);
  return Number(number) * { ns: 1e-3, us: 1, ms: 1e3, s: 1e6, min: 6e7 }[unit];
}

function subscriptionOf(plan) {
  const { settings, protocol, seed } = message;
  const { reconnect, workload } = settings;
  const [transport, alpn] = protocol.split("/");
  const milliseconds = (span) => microseconds(span) / 1000;
  const how = {
    alpn,
    credentials: credentials(plan.sub),
    settings: settings[transport] ?? {},
    // 32 bits for whatever is drawn for this subscription.
    seed: (seed ^ Math.imul(plan.sub + 1, 0x9e3779b1)) >>> 0,
    size: bytes(workload.events.size),
    signal: leaving.signal,
    reconnect: { ...reconnect, delay: milliseconds(reconnect.delay), most: milliseconds(reconnect.most) },
    certificates: message["cert-sha256"],
  };
  return new Subscription(plan, script, how, {
    saw: (fact) => outbox.saw(fact),
    received: (sub, t, id, data) => receipts.add(sub, t, id, data),
    changed: (by) => {
      opened += by;
    },
  });
}

/** A number of bytes as settings write it (`"100 B"`). */
function bytes(size) {
  const [, number, unit] = /^([\d.]+)\s*(B|kB|KiB|MB|MiB)$/.exec(size);
  return Number(number) * { B: 1, kB: 1e3, KiB: 1024, MB: 1e6, MiB: 1024 ** 2 }[unit];
}

/** A plain request to where the first subscription went: does it get through? */
async function probe() {
  const { host, port } = message.subscriptions[0];
  const shown = message.token ? `&token=${message.token}` : "";
  const url = `https://${host}:${port}/ping?trial=${message.trial}&probe=${page}${shown}`;
  outbox.saw({ kind: "probe-sent", t: now() });
  let status;
  try {
    const mode = { credentials: credentials(0), mode: "cors", cache: "no-store" };
    ({ status } = await fetch(url, { ...mode, signal: leaving.signal }));
  } catch {
    // Not the same as no answer: the request failed.
    status = 0;
  }
  const t = now();
  if (!stopped) outbox.saw({ kind: "probe-answered", t, status });
}

/** What another actor does, at the first subscription's host and port. */
async function doBeside(beside, actor) {
  const query = new URLSearchParams({ trial: message.trial, beside: actor });
  const tab = { path: own("tab", { actor }), arrived: new Promise((done) => arrivals.set(actor, done)) };
  outbox.saw({ kind: "beside-sent", t: now(), actor });
  const how = await act({ ...beside, bytes: bytes(beside.bytes) }, message.subscriptions[0], query, tab, leaving.signal);
  const t = now();
  if (!stopped) outbox.saw({ kind: "beside-answered", t, actor, how });
}

/** Closes everything and says what was kept back. */
function stop() {
  if (stopped) return;
  stopped = true;
  agenda.end();
  leaving.abort();
  for (const subscription of open.values()) subscription.close();
  finish().catch(broke);
}

async function finish() {
  say("Reporting");
  for (const fact of receipts.facts()) {
    outbox.saw(fact);
    // A post's worth at a time: a post for each would take a round trip for each, and all of them at once would be
    // another copy of everything.
    if (outbox.isFull) await outbox.flushed();
  }
  outbox.line(JSON.stringify({ type: "done", sent: outbox.sent }));
  await outbox.flushed();
  show();
  if (!broken) say("Done");
}

function unsupported(reason) {
  outbox.line(JSON.stringify({ type: "unsupported", reason }));
  say(`Not possible here: ${reason}`);
}

/** Ends the trial with the error's message, once. */
function broke(error) {
  if (broken) return;
  broken = true;
  const text = String(error?.message ?? error).slice(0, 4000);
  say(`Failed: ${text}`);
  fetch(route("error"), { method: "POST", body: text, cache: "no-store" }).catch(() => {});
}

function say(text) {
  document.querySelector("#state").textContent = text;
}

/** Shows a person how it goes, four times a second: never from a handler that is being timed. */
function show() {
  if (!message) return;
  const asked = message.subscriptions.length;
  const facts = {
    trial: message.trial,
    page: `${page + 1} of ${message.settings.workload.pages}`,
    protocol: message.protocol,
    opened: `${opened} of ${asked}`,
    received: receipts.count,
  };
  for (const [id, value] of Object.entries(facts)) {
    const cell = document.querySelector(`#${id}`);
    if (cell.textContent !== String(value)) cell.textContent = value;
  }
  // The lab page has this one in a frame, and shows its counts beside the server's.
  if (parent !== window) parent.postMessage({ opened, asked }, location.origin);
}
