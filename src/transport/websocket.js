// WebSocket in a browser: WHATWG WebSockets. Each message is an event as a JSON object; one whose data is bytes has them
// behind the object and a line feed.

/** What is spoken in the messages. */
const SUBPROTOCOL = "transport-lab.v1";

/**
 * Origins on HTTP/2 that have a connection for WebSockets, or will have: a browser opens none for a WebSocket, which
 * would be on HTTP/1.1 (RFC 8441 leaves that open, and all of them do it so).
 */
const connected = new Map();

/** A WebSocket always sends them. */
export const credentials = "include";

/**
 * Subscribes to one feed.
 *
 * @param {{url: string, alpn: string, after?: string}} subscription
 * @param {{opened: () => void, received: (id: string, data: string) => void,
 *          gap: (missed: number | null, first: string | null) => void, closed: (reason: string) => void,
 *          buffered?: (bytes: number) => void}} on
 *   called as it happens; each takes its own time first thing. `buffered`: what waits to be sent, after each `send`
 * @returns {{close: () => void, send: (text: string) => void, buffered: () => number}} `send` publishes an event
 */
export function subscribe({ url, alpn, after }, on) {
  const address = new URL(url);
  if (after) address.searchParams.set("after", after);
  let socket = null;
  let closed = false;
  const end = (reason) => {
    if (!closed) on.closed(reason);
    closed = true;
  };
  const begin = () => {
    if (!closed) socket = open(address, on, end);
  };
  if (alpn === "h2") connect(address).then(begin, (error) => end(String(error?.message ?? error)));
  else begin();
  return {
    close() {
      closed = true;
      socket?.close(1000);
    },
    send(text) {
      if (socket?.readyState !== WebSocket.OPEN) return;
      socket.send(text);
      on.buffered?.(socket.bufferedAmount);
    },
    buffered: () => socket?.bufferedAmount ?? 0,
  };
}

/** A request with credentials, as a connection's pool is keyed by them too; one for all of an origin. */
function connect({ origin, search }) {
  if (!connected.has(origin)) {
    const ping = `${origin}/ping${search}${search ? "&" : "?"}for=websocket`;
    const asked = fetch(ping, { mode: "cors", cache: "no-store", credentials: "include" }).then((answer) => {
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    });
    connected.set(origin, asked);
    asked.catch(() => connected.delete(origin));
  }
  return connected.get(origin);
}

function open(address, on, end) {
  const socket = new WebSocket(address.href.replace(/^http/, "ws"), SUBPROTOCOL);
  socket.binaryType = "arraybuffer";
  const decoder = new TextDecoder();
  socket.onopen = () => on.opened();
  socket.onmessage = ({ data }) => {
    const text = typeof data === "string" ? data : decoder.decode(data);
    const end = text.indexOf("\n");
    const told = JSON.parse(end < 0 ? text : text.slice(0, end));
    if (told.id === undefined) on.gap(told.missed ?? null, told.first ?? null);
    else on.received(told.id, end < 0 ? told.data : text.slice(end + 1));
  };
  // An `error` says nothing, and is followed by this.
  socket.onclose = ({ code, reason, wasClean }) => {
    // Its connection may be gone as well.
    connected.delete(address.origin);
    end(`${wasClean ? "closed" : "broke off"}: ${code} ${reason}`.trim());
  };
  return socket;
}
