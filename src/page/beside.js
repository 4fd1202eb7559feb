// What else a page does: one request of another kind, and how it was answered.

/** From a frame's `load` to the word of the page in it, in milliseconds: they may come in either order. */
const WORD = 1000;

/**
 * Does it, and gives what it came to: a status, `loaded`, `open`, or an error. It waits as long as that takes.
 *
 * @param {{kind: string, credentials: string, bytes: number, urgency: number | "unset"}} beside `bytes`: of a download
 * @param {{host: string, port: number}} target
 * @param {string} query makes the address unlike any other
 * @param {{path: string, arrived: Promise<void>}} tab a page for another tab, and when it is there
 * @param {AbortSignal} leaving ends what is under way
 * @returns {Promise<string>}
 */
export function act({ kind, credentials, bytes, urgency }, { host, port }, query, tab, leaving) {
  const at = (path) => `//${host}:${port}${path}?${query}`;
  switch (kind) {
    case "fetch":
      return fetched(`https:${at("/ping")}`, credentials, leaving);
    case "download":
      return downloaded(`https:${at("/bulk")}&bytes=${bytes}`, credentials, urgency, leaving);
    case "image":
      return image(`https:${at("/ping.svg")}`);
    case "websocket":
      return websocket(`wss:${at("/ping")}`, leaving);
    case "navigation":
      return navigation(`https:${at("/ping.html")}`, leaving);
    case "tab":
      return navigated(`https://${host}:${port}${tab.path}`, tab.arrived);
    default:
      throw new Error(`no kind of actor is called ${kind}`);
  }
}

async function fetched(url, credentials, signal) {
  try {
    const { status } = await fetch(url, { mode: "cors", cache: "no-store", credentials, signal });
    return String(status);
  } catch (error) {
    return error.name;
  }
}

/** All of it: a status alone is there long before. */
async function downloaded(url, credentials, urgency, signal) {
  const priority = urgency === "unset" || urgency === 3 ? "auto" : urgency < 3 ? "high" : "low";
  try {
    const answer = await fetch(url, { mode: "cors", cache: "no-store", credentials, priority, signal });
    const reader = answer.body.getReader();
    while (!(await reader.read()).done);
    return String(answer.status);
  } catch (error) {
    return error.name;
  }
}

function image(url) {
  return new Promise((done) => {
    const image = new Image();
    image.onload = () => done("loaded");
    image.onerror = () => done("error");
    image.src = url;
  });
}

/** The server takes no WebSocket at this address: its refusal is the answer. */
function websocket(url, leaving) {
  return new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onopen = () => done("open");
    // A page isn't told which of the two it was.
    socket.onerror = () => done("error: the handshake was refused, or there was no connection");
    leaving.addEventListener("abort", () => socket.close());
  });
}

/**
 * The page in the frame says that it is there. The frame's own `load` alone proves nothing: it comes for the
 * browser's page about an error too.
 */
function navigation(url, leaving) {
  return new Promise((done) => {
    const frame = document.createElement("iframe");
    addEventListener("message", ({ source }) => {
      if (source === frame.contentWindow) done("loaded");
    });
    frame.onload = () => setTimeout(done, WORD, "error");
    frame.hidden = true;
    frame.src = url;
    document.body.append(frame);
    leaving.addEventListener("abort", () => frame.remove());
  });
}

/**
 * A window of its own, so that the trial page isn't hidden, and without an opener, as tabs are that a person opens.
 * Without one there is no telling whether it was let open; browsers are started so that it is.
 */
async function navigated(url, arrived) {
  window.open(url, "_blank", "noopener,popup,width=480,height=360");
  await arrived;
  return "loaded";
}
