// The chat: one feed, read over any transport by the transport's own script, written to by POST or on what it is read
// from. A line is an event whose data is {"who": "…", "says": "…"}.

const entrance = document.querySelector("#entrance");
const writing = document.querySelector("#writing");
const [who, over, enter, leave, state, log, lines, says, say] = [
  "who", "over", "enter", "leave", "state", "log", "lines", "says", "say",
].map((id) => document.querySelector(`#${id}`));
const { feed, token, certificates } = entrance.dataset;

/** How long a name and a line may be, in characters: what is longer is cut, whoever sent it. */
const [NAME_LENGTH, LINE_LENGTH] = [40, 500];
/** How many lines are shown, and with them what a log holds; the oldest go first. */
const LINES = 1100;
/** How long to wait before coming back, in milliseconds, doubled each time up to the most. */
const [WAIT, MOST_WAIT] = [500, 15_000];
/** How long the log's past may take to arrive before its lines are read out as they come, in milliseconds. */
const PAST = 500;
/** How near to the end, in pixels, a reader is who wants to see the next line. */
const NEAR = 40;
/** What sse.js says of a browser's EventSource that comes back by itself. */
const BY_ITSELF = "reconnecting";

/** The subscription that is open, or is being opened; `null` outside. */
let visit = null;
/** After which event to go on: everything that the log holds, at first. */
let last = "0";
let count = 0;

class Visit {
  #way;
  #subscription = null;
  #attempt = 0;
  /** How many attempts have failed since one was open. */
  #failed = 0;
  #timer = 0;
  #left = false;
  #open = false;

  constructor(option) {
    this.#way = { ...option.dataset, title: `${option.textContent}, port ${option.dataset.port}` };
  }

  get canSend() {
    return this.#open;
  }

  async connect() {
    const { transport, alpn, port, title } = this.#way;
    tell(`Connecting: ${title}.`);
    const { subscribe } = await import(`/transports/${transport}.js`);
    if (this.#left) return;
    // Each subscription has an address of its own: browsers serialise equal ones.
    const url = address(port, `/${transport}`, { chat: `${crypto.randomUUID()}` });
    const seed = crypto.getRandomValues(new Uint32Array(1))[0];
    // The hashes let a browser in that has no other reason to trust the lab, where a transport takes them.
    const settings = { trust: "hash" };
    const subscription = { url, alpn, credentials: "omit", settings, certificates, seed, after: last };
    // What an earlier attempt still says isn't ours any more.
    const attempt = ++this.#attempt;
    const mine = (act) => (...told) => {
      if (!this.#left && attempt === this.#attempt) act(...told);
    };
    this.#subscription = subscribe(subscription, {
      opened: mine(() => this.#opened()),
      received: mine((id, data) => {
        last = id;
        show(data);
      }),
      at: mine((id) => (last = id)),
      gap: mine((missed) => note(gone(missed))),
      closed: mine((reason) => this.#closed(reason)),
    });
  }

  #opened() {
    this.#failed = 0;
    this.#set(true);
    tell(`You are in: ${this.#way.title}.`);
    setTimeout(() => (log.ariaBusy = "false"), PAST);
  }

  #closed(reason) {
    this.#set(false);
    const why = `Not connected (${reason}).${this.#way.hint ? ` ${this.#way.hint}` : ""}`;
    if (reason === BY_ITSELF) return tell(why);
    this.#subscription?.close();
    const wait = Math.min(MOST_WAIT, WAIT * 2 ** this.#failed) * (0.5 + Math.random() / 2);
    this.#failed += 1;
    tell(`${why} Trying again in ${Math.ceil(wait / 1000)} s.`);
    this.#timer = setTimeout(() => this.connect().catch((error) => this.#closed(error.message)), wait);
  }

  #set(open) {
    this.#open = open;
    says.disabled = say.disabled = !open;
    if (open && document.activeElement === document.body) says.focus();
    document.documentElement.dataset.chat = open ? "in" : "connecting";
  }

  /** Sends a line, in-band where the transport can. Throws what a person should read. */
  async send(line) {
    if (this.#subscription.send) {
      this.#subscription.send(line);
      return;
    }
    const answer = await fetch(address(this.#way.port, ""), {
      method: "POST",
      body: line,
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
    });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `the server answered ${answer.status}`);
  }

  leave() {
    this.#left = true;
    clearTimeout(this.#timer);
    this.#subscription?.close();
  }
}

/** A route of the feed at a data port. On this machine that is another name than the page's, as the lab page has it. */
function address(port, route, more = {}) {
  const { hostname } = location;
  const host = hostname === "127.0.0.1" || hostname === "[::1]" ? "localhost" : hostname;
  const query = new URLSearchParams({ ...more, ...(token ? { token } : {}) });
  return `https://${host}:${port}/feeds/${feed}${route}${query.size > 0 ? `?${query}` : ""}`;
}

/** What a gap says, to a person. */
function gone(missed) {
  if (missed === null) return "What was said before is gone: the server has begun anew.";
  return missed === 1 ? "One line is gone that you haven’t seen." : `${missed} lines are gone that you haven’t seen.`;
}

function cut(text, length) {
  const characters = [...text.slice(0, 2 * length)];
  return characters.length > length ? `${characters.slice(0, length).join("")}…` : text;
}

/** Shows a line. Whatever came, it is only ever text. */
function show(data) {
  let told;
  try {
    told = JSON.parse(data);
  } catch {
    told = null;
  }
  const isLine = typeof told?.who === "string" && typeof told?.says === "string";
  const [name, text] = isLine ? [told.who, told.says] : ["someone without a name", data];
  const item = document.createElement("li");
  // Names and lines may run from right to left, each by itself.
  const [first, rest] = [document.createElement("bdi"), document.createElement("bdi")];
  first.className = "who";
  first.textContent = cut(name, NAME_LENGTH);
  rest.textContent = cut(text, LINE_LENGTH);
  item.append(first, rest);
  item.classList.toggle("own", isLine && name === who.value.trim());
  add(item);
}

function note(text) {
  const item = document.createElement("li");
  item.className = "note";
  item.textContent = text;
  add(item);
}

function add(item) {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  lines.append(item);
  count += 1;
  if (count > LINES) {
    lines.firstElementChild.remove();
    count -= 1;
  }
  if (follows) log.scrollTop = log.scrollHeight;
}

function tell(text) {
  // A live region is read out whenever it is written to, so only when there is something new.
  if (state.textContent !== text) state.textContent = text;
}

function begin() {
  visit?.leave();
  log.ariaBusy = "true";
  const entered = new Visit(over.selectedOptions[0]);
  visit = entered;
  enter.textContent = "Change";
  leave.disabled = false;
  document.documentElement.dataset.chat = "connecting";
  says.disabled = say.disabled = true;
  entered.connect().catch((error) => {
    if (visit === entered) tell(`Not possible: ${error.message}.`);
  });
}

entrance.addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});

leave.addEventListener("click", () => {
  visit?.leave();
  visit = null;
  says.disabled = say.disabled = leave.disabled = true;
  enter.textContent = "Enter";
  enter.focus();
  document.documentElement.dataset.chat = "outside";
  tell("You are outside. What is said meanwhile is shown when you come back.");
});

writing.addEventListener("submit", (event) => {
  event.preventDefault();
  const [name, text] = [cut(who.value.trim(), NAME_LENGTH), cut(says.value.trim(), LINE_LENGTH)];
  if (!visit?.canSend || !text || !who.reportValidity()) return;
  // It is shown when it comes back, as everybody else sees it.
  says.value = "";
  visit.send(JSON.stringify({ who: name, says: text })).catch((error) => {
    if (!says.value) says.value = text;
    tell(`Your line was not taken: ${error.message}.`);
  });
});

// What this browser lacks can't be chosen, and says so.
for (const option of over.options) {
  const need = option.dataset.needs;
  if (need && !(need in window)) {
    option.disabled = true;
    option.textContent += ` (this browser has no ${need})`;
  }
}

// `/chat?who=Ann&over=sse/8442` enters by itself. The server's token isn't left in the address.
const query = new URLSearchParams(location.search);
if (query.has("token")) {
  query.delete("token");
  history.replaceState(null, "", query.size > 0 ? `/chat?${query}` : "/chat");
}
document.documentElement.dataset.chat = "outside";
const wanted = [...over.options].find((option) => option.value === query.get("over") && !option.disabled);
if (wanted) wanted.selected = true;
else if (query.has("over")) tell(`Not possible here: ${query.get("over")}.`);
if (query.has("who")) who.value = cut(query.get("who").trim(), NAME_LENGTH);
if (wanted && who.value) begin();
else (who.value ? over : who).focus();
