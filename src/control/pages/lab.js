// The lab page's measurement: asks the lab for a trial of this browser, runs its page in a frame, and shows the
// lanes as the server counts them beside what that page counts.

import { draw } from "./lanes.js";

const form = document.querySelector("#request");
const closeAll = document.querySelector("#close");
const part = (id) => document.querySelector(`#${id}`);
const titles = { h1: "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };
/** How often a browser that should follow Alt-Svc is given the chance to. */
const CHANCES = 8;
const CHANCE_MILLISECONDS = 250;
/** After this long without a change the numbers are said in words. */
const STABLE_MILLISECONDS = 1500;

/** The measurement under way; one at a time, as two would share the limit that is looked for. */
let visit = null;

class Measurement {
  #choice;
  #asked;
  #frame = document.createElement("iframe");
  #source = null;
  #view = { lanes: [], open: 0, counted: false, kept: null };
  #opened = 0;
  /** What was shown last, and since when it is the same. */
  #seen = "";
  #since = 0;
  #trial = 0;
  #token = "";

  constructor(choice, asked) {
    this.#choice = choice;
    this.#asked = asked;
    this.#frame.hidden = true;
    this.#frame.title = "The page that is measured";
  }

  async open(hold) {
    const { protocol, port, altSvc } = this.#choice;
    if (altSvc !== undefined) await followed(port);
    const body = JSON.stringify({
      key: form.dataset.key,
      protocol,
      port: Number(port),
      subscribers: this.#asked,
      hold: `${hold}s`,
    });
    const answer = await fetch("/visits", { method: "POST", body, cache: "no-store" });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    this.#trial = told.trial;
    this.#token = new URL(told.page, location).searchParams.get("token");
    this.#source = new EventSource(`/ledger?${new URLSearchParams({ trial: this.#trial, token: this.#token })}`);
    this.#source.onmessage = ({ data }) => this.#see(JSON.parse(data));
    this.#frame.src = told.page;
    addEventListener("message", this.#hear);
    document.body.append(this.#frame);
    this.#show();
  }

  /** Has the census taken now, and everything closed. */
  async close() {
    const shown = new URLSearchParams({ token: this.#token });
    await fetch(`/trials/${this.#trial}/close?${shown}`, { method: "POST", cache: "no-store" });
  }

  /** The frame says how it goes. From the census on its counts stand still, as the server's do. */
  #hear = ({ origin, source, data }) => {
    if (origin !== location.origin || source !== this.#frame.contentWindow || this.#view.counted) return;
    this.#opened = Number(data?.opened ?? 0);
    this.#show();
  };

  #see(view) {
    this.#view = view;
    this.#show();
    if (view.kept) this.#end();
  }

  #end() {
    this.#source.close();
    removeEventListener("message", this.#hear);
    this.#frame.remove();
    finished(this);
  }

  #show() {
    const { lanes, open, counted, kept } = this.#view;
    const asked = this.#asked;
    // What both ends counted at the census outweighs what was seen on the way there.
    const opened = kept?.open ?? this.#opened;
    const waiting = Math.max(0, asked - opened);
    const streams = kept?.["server-open"] ?? open;
    const connections = kept?.connections ?? lanes.length;
    for (const [id, value] of Object.entries({ opened, waiting, streams, connections })) {
      if (part(id).textContent !== String(value)) part(id).textContent = value;
    }
    part("result").hidden = false;
    draw(part("lanes"), lanes, waiting);
    const title = titles[this.#choice.protocol.split("/")[1]];
    const seen = `${opened} ${streams} ${connections}`;
    if (seen !== this.#seen) [this.#seen, this.#since] = [seen, performance.now()];
    const stable = counted || kept || performance.now() - this.#since > STABLE_MILLISECONDS;
    if (!stable) return say(`Opening ${asked} over ${title}. A moment.`);
    const holds =
      `This browser holds ${opened} of ${asked} over ${title}; ${waiting} ${waiting === 1 ? "is" : "are"} waiting. ` +
      `The server counts ${streams} on ${connections} ${connections === 1 ? "connection" : "connections"}.`;
    if (!kept) return say(counted ? holds : `${holds} Still holding them.`);
    if (kept.outcome !== "completed") say(`The measurement ${kept.outcome === "failed" ? "failed" : "ended"}: ${kept.reason}.`);
    else say(`${holds} ${meaning(this.#choice, asked, opened, connections)}`);
    const report = document.createElement("a");
    report.href = `/runs/${kept.run}/report.html`;
    report.textContent = "the report";
    part("kept").replaceChildren("Closed, and kept as a run: ", report, ".");
  }
}

/** What a result means, and what a person may want to do about it. */
function meaning({ protocol, altSvc }, asked, opened, connections) {
  if (connections === 0 && protocol.endsWith("/h3") && altSvc === undefined) {
    return "Nothing but HTTP/3 reaches that port, and this browser wasn’t put on it.";
  }
  if (connections === 0) return "Perhaps it doesn’t trust the lab’s CA at that port.";
  if (opened >= asked) return "So its limit is there or beyond: ask for more to find it.";
  if (opened === connections) {
    return "Each is on a connection of its own, and this browser has no more of them to one server at once: "
      + "one more, be it in another tab, waits until one of these is closed.";
  }
  if (connections === 1) {
    return "They share one connection, and how many that carries is what the server allows "
      + "(serve --max-concurrent-streams), not what the browser could.";
  }
  return `They are spread over ${connections} connections.`;
}

/** Gives the browser the chance to follow Alt-Svc, which it learns of from an answer and uses for later ones. */
async function followed(port) {
  say("Seeing whether this browser follows Alt-Svc.");
  const host = location.hostname === "127.0.0.1" || location.hostname === "[::1]" ? "localhost"
    : location.hostname === "localhost" ? "127.0.0.1" : location.hostname;
  let spoken = "";
  for (let chance = 0; chance < CHANCES; chance += 1) {
    const url = `https://${host}:${port}/ping?chance=${chance}-${Math.round(performance.now())}`;
    // From another machine the cookie is what lets it in.
    const answer = await fetch(url, { mode: "cors", cache: "no-store", credentials: "include" });
    await answer.text();
    await new Promise((resolve) => setTimeout(resolve, CHANCE_MILLISECONDS));
    spoken = performance.getEntriesByName(url)[0]?.nextHopProtocol ?? "";
    if (spoken === "h3") return;
  }
  throw new Error(
    `this browser stays on ${spoken || "what it has"} although the server offers HTTP/3 by Alt-Svc; ` +
      "many do so when the CA is not a public one",
  );
}

function say(text) {
  // A live region is read out whenever it is written to, so only when there is something new.
  if (part("answer").textContent !== text) part("answer").textContent = text;
}

function impossible(error) {
  say(`Not possible: ${error.message.replace(/\.$/, "")}.`);
}

function finished(done) {
  if (visit !== done) return;
  visit = null;
  document.documentElement.dataset.visit = "over";
  lock(false);
}

function lock(under) {
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = under;
  closeAll.disabled = !under;
}

function start(choice) {
  const [asked, hold] = ["subscribers", "hold"].map((id) => part(id).valueAsNumber);
  visit = new Measurement(choice, asked);
  document.documentElement.dataset.visit = "open";
  part("kept").replaceChildren();
  lock(true);
  const opened = visit;
  visit.open(hold).catch((error) => {
    impossible(error);
    finished(opened);
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!visit && event.submitter) start(event.submitter.dataset);
});
closeAll.addEventListener("click", () => {
  closeAll.disabled = true;
  visit?.close().catch(impossible);
});

// `/?open=sse/h1&n=150&hold=5`: starts by itself. The server's token isn't left in the address.
const query = new URLSearchParams(location.search);
if (query.has("token")) {
  query.delete("token");
  history.replaceState(null, "", query.size > 0 ? `/?${query}` : "/");
}
if (query.has("n")) part("subscribers").value = query.get("n");
if (query.has("hold")) part("hold").value = query.get("hold");
const wanted = query.get("open");
if (wanted && form.reportValidity()) {
  const buttons = [...form.querySelectorAll("button[type=submit]")];
  const alt = query.has("alt-svc");
  const button = buttons.find(({ dataset }) => dataset.protocol === wanted && (dataset.altSvc !== undefined) === alt);
  if (button) start(button.dataset);
  else say(`Not possible: no protocol ${wanted} here.`);
}
