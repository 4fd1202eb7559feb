#!/usr/bin/env python3
"""A client of Transport Lab on Python's aioquic: server-sent events and WebTransport over HTTP/3.

    transport-lab run --client exec:clients/aioquic_client.py --allow-exec --set protocol=sse/h3

It speaks the trial contract of README.md beside it. Everything of a host and port shares one connection; receipts are
kept until the trial is over, and only then checked.
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version
from platform import python_version

try:
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import DatagramReceived, DataReceived, HeadersReceived, WebTransportStreamDataReceived
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.events import ConnectionTerminated, StreamReset
except ImportError as error:
    print(json.dumps({"type": "unsupported", "reason": f"{error}: pip install aioquic, for {sys.executable}"}), flush=True)
    sys.exit()

# How many receipts one line holds at most.
RECEIPTS = 100_000
# How long connections may take to close at the end, in seconds: the lab waits 2 s in all.
CLOSING = 1
# How much of a line of an event stream, or of a stream of JSON lines, is waited for, in bytes.
LINE_BYTES = 16 * 1024 * 1024
# How long the connection may be silent, in seconds: longer than any trial.
IDLE = 3600
# As WebTransport asks for it (draft-ietf-webtrans-http3 section 3.1, RFC 9297 section 2.1.1).
DATAGRAM_BYTES = 65536


def say(**line):
    print(json.dumps(line, separators=(",", ":")), flush=True)


def units(span):
    """A length of time as settings write it (`250ms`), in nanoseconds."""
    number = span.rstrip("nusmi ")
    return round(float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "min": 6e10}[span[len(number) :].strip()])


def is_right(event_id, data):
    """Whether data is what was published under this id: FNV-1a with 32 bits over all that follows the first space."""
    check, _, rest = data.partition(" ")
    fnv = 0x811C9DC5
    for byte in rest.encode():
        fnv = (fnv ^ byte) * 0x01000193 & 0xFFFFFFFF
    return check == f"{fnv:08x}" and rest.split(" ")[0] == event_id.rpartition("-")[2]


class Facts:
    """What was observed, and how much of it was said."""

    def __init__(self):
        self.sent = 0
        self.receipts = {}

    def saw(self, kind, **fact):
        self.sent += 1
        say(type="saw", kind=kind, **fact)

    def received(self, sub, t, event_id, data):
        self.receipts.setdefault(sub, []).append((t, event_id, data))

    def gap(self, sub, t, told):
        self.saw("gap", t=t, sub=sub, missed=told.get("missed"), first=told.get("first"))

    def take(self, sub, t, line):
        """An event or a gap as JSON."""
        told = json.loads(line)
        if "id" in told:
            self.received(sub, t, told["id"], told["data"])
        elif told.get("name") == "gap":
            self.gap(sub, t, told)

    def tell(self):
        """Says what was kept back, and that it was all."""
        for sub, receipts in self.receipts.items():
            for start in range(0, len(receipts), RECEIPTS):
                part = receipts[start : start + RECEIPTS]
                wrong = [event_id for _, event_id, data in part if not is_right(event_id, data)]
                times, ids = [t for t, *_ in part], [event_id for _, event_id, _ in part]
                self.saw("received", sub=sub, t=times, ids=ids, wrong=wrong)
        say(type="done", sent=self.sent)


class Lines:
    """Bytes to lines, which end with a line feed, a carriage return, or both."""

    def __init__(self):
        self.rest = b""

    def push(self, data):
        *whole, self.rest = (self.rest + data).replace(b"\r\n", b"\n").split(b"\n")
        if len(self.rest) > LINE_BYTES:
            raise ValueError(f"a line of more than {LINE_BYTES} bytes")
        return whole


class EventStream:
    """Server-sent events (WHATWG HTML section 9.2.6) of one subscription."""

    def __init__(self, sub, facts):
        self.sub, self.facts = sub, facts
        self.lines, self.last = Lines(), ""
        self.begin()

    def begin(self):
        self.name, self.data = "message", []

    def push(self, data, t):
        for line in self.lines.push(data):
            field, _, value = line.decode().partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.dispatch(t)
            elif field == "data":
                self.data.append(value)
            elif field == "event":
                self.name = value
            elif field == "id":
                self.last = value

    def dispatch(self, t):
        if self.data:
            data = "\n".join(self.data)
            if self.name == "gap":
                self.facts.gap(self.sub, t, json.loads(data))
            else:
                self.facts.received(self.sub, t, self.last, data)
        self.begin()


class Connection(QuicConnectionProtocol):
    """One connection, and who listens to what comes on it."""

    def __init__(self, *arguments, webtransport=False, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic, enable_webtransport=webtransport)
        # By request: a queue of what comes; `None` is the end of the connection.
        self.requests = {}
        # By session: the subscription that it is.
        self.sessions = {}

    def quic_event_received(self, event):
        t = time.monotonic_ns()
        if isinstance(event, ConnectionTerminated):
            for queue in self.requests.values():
                queue.put_nowait((t, None))
        elif isinstance(event, StreamReset) and event.stream_id in self.requests:
            self.requests[event.stream_id].put_nowait((t, event))
        for told in self.http.handle_event(event):
            if isinstance(told, WebTransportStreamDataReceived):
                if session := self.sessions.get(told.session_id):
                    session.stream(told.stream_id, told.data, told.stream_ended, t)
            elif isinstance(told, DatagramReceived):
                if session := self.sessions.get(told.stream_id):
                    session.datagram(told.data, t)
            elif told.stream_id in self.requests:
                self.requests[told.stream_id].put_nowait((t, told))

    def ask(self, head, session=None):
        """Sends a request, which ends there unless it is a session's. Gives what comes on it, as a queue."""
        stream = self._quic.get_next_available_stream_id()
        queue = self.requests[stream] = asyncio.Queue()
        if session:
            self.sessions[stream] = session
        self.http.send_headers(stream, head, end_stream=session is None)
        self.transmit()
        return queue


class Session:
    """A WebTransport session of one subscription: what the server opens and sends on it."""

    def __init__(self, sub, facts):
        self.sub, self.facts = sub, facts
        self.streams = {}

    def stream(self, number, data, ended, t):
        """One stream with a line for each event, or a stream for each; either ends with its last line."""
        lines = self.streams.setdefault(number, Lines())
        for line in lines.push(data):
            if line:
                self.facts.take(self.sub, t, line)
        if ended:
            if lines.rest:
                self.facts.take(self.sub, t, lines.rest)
            del self.streams[number]

    def datagram(self, data, t):
        if data.strip():
            self.facts.take(self.sub, t, data)


class Trial:
    """One trial, from its first line to its last."""

    def __init__(self, message):
        self.message = message
        self.facts = Facts()
        self.webtransport = message["protocol"] == "webtransport/h3"
        datagrams = DATAGRAM_BYTES if self.webtransport else None
        self.configuration = QuicConfiguration(
            is_client=True, alpn_protocols=H3_ALPN, idle_timeout=IDLE, max_datagram_frame_size=datagrams
        )
        self.configuration.load_verify_locations(cafile=message["ca"])
        # By host and port, each as a future, so that the first who asks connects for all.
        self.connections = {}
        self.open = []

    def cannot(self):
        """Why this can't take part, if it can't."""
        protocol, workload = self.message["protocol"], self.message["settings"]["workload"]
        if protocol not in ("sse/h3", "webtransport/h3"):
            return f"this client speaks sse/h3 and webtransport/h3, and no {protocol}"
        if workload["open"] != "burst":
            return "this client connects when the first subscription opens, and not before"
        if workload["connections"] != "shared":
            return "this client shares one connection"
        if workload.get("direction", "down") != "down":
            return "this client publishes nothing"
        if workload.get("stuck", 0) > 0:
            return "this client reads whatever comes"
        if self.message["settings"].get("reconnect", {}).get("tries", 0) > 0:
            return "this client doesn't come back"
        if not self.message["settings"].get("webtransport", {}).get("finish", True):
            return "this client reads an event where its stream ends"
        if self.message["settings"]["beside"]:
            return "this client does nothing beside subscribing"
        return None

    async def connection(self, host, port):
        if (host, port) not in self.connections:
            connecting = asyncio.ensure_future(self.dial(host, port))
            self.connections[host, port] = connecting
        return await asyncio.shield(self.connections[host, port])

    async def dial(self, host, port):
        def protocol(*arguments, **options):
            return Connection(*arguments, webtransport=self.webtransport, **options)

        context = connect(host, port, configuration=self.configuration, create_protocol=protocol)
        connection = await context.__aenter__()
        self.open.append(context)
        return connection

    def head(self, plan, path, more=()):
        authority = f"{plan['host']}:{plan['port']}"
        method = "CONNECT" if more else "GET"
        head = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path), *more]
        return [(name.encode(), value.encode()) for name, value in head]

    async def subscribe(self, plan, go):
        sub = plan["sub"]
        await until(go + plan["open-at"])
        self.facts.saw("requested", t=time.monotonic_ns(), sub=sub)
        try:
            connection = await self.connection(plan["host"], plan["port"])
            if self.webtransport:
                reason = await self.session(plan, connection)
            else:
                reason = await self.event_stream(plan, connection)
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        self.facts.saw("closed", t=time.monotonic_ns(), sub=sub, reason=reason)

    async def event_stream(self, plan, connection):
        events = EventStream(plan["sub"], self.facts)
        head = self.head(plan, plan["path"]) + [(b"accept", b"text/event-stream")]
        async for t, told in answer(connection.ask(head)):
            if isinstance(told, HeadersReceived):
                accepted(told, t, plan["sub"], self.facts)
            elif isinstance(told, DataReceived):
                events.push(told.data, t)
        return "the server ended the stream"

    async def session(self, plan, connection):
        session = Session(plan["sub"], self.facts)
        head = self.head(plan, plan["path"], [(":protocol", "webtransport")])
        async for t, told in answer(connection.ask(head, session)):
            if isinstance(told, HeadersReceived):
                accepted(told, t, plan["sub"], self.facts)
        return "the server ended the session"

    async def probe(self, go):
        """A plain GET at mid-hold, where the first subscription goes."""
        workload, plan = self.message["settings"]["workload"], self.message["subscriptions"][0]
        await until(go + units(workload["ramp"]) + units(workload["hold"]) // 2)
        self.facts.saw("probe-sent", t=time.monotonic_ns())
        connection = await self.connection(plan["host"], plan["port"])
        head = self.head(plan, f"/ping?trial={self.message['trial']}&probe=0")
        async for t, told in answer(connection.ask(head)):
            if isinstance(told, HeadersReceived):
                self.facts.saw("probe-answered", t=t, status=status(told))

    def begin(self, go):
        plans = self.message["subscriptions"]
        tasks = [asyncio.ensure_future(self.subscribe(plan, go)) for plan in plans]
        probing = plans and self.message["settings"]["workload"]["probe"]
        return tasks + ([asyncio.ensure_future(self.probe(go))] if probing else [])

    async def close(self):
        for context in self.open:
            await context.__aexit__(None, None, None)


def status(told):
    return int(dict(told.headers)[b":status"])


def accepted(told, t, sub, facts):
    if not 200 <= status(told) < 300:
        raise OSError(f"the server answered {status(told)}")
    facts.saw("opened", t=t, sub=sub)


async def answer(queue):
    """What comes on a request, each with its time, until it ends."""
    while True:
        t, told = await queue.get()
        if told is None:
            raise OSError("the connection ended")
        if isinstance(told, StreamReset):
            raise OSError(f"the stream was reset with {told.error_code:#x}")
        yield t, told
        if told.stream_ended:
            return


async def until(t):
    await asyncio.sleep(max(0, t - time.monotonic_ns()) / 1e9)


async def lines():
    """The lab's lines; their end is `stop`."""
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)
    yield {"type": "stop"}


async def main():
    trial, tasks = None, []
    async for message in lines():
        if message["type"] == "trial":
            trial = Trial(message)
            if reason := trial.cannot():
                say(type="unsupported", reason=reason)
                return
            say(type="ready", version=f"aioquic {version('aioquic')} (Python {python_version()})")
        elif message["type"] == "go":
            tasks = trial.begin(message["at"])
        elif message["type"] == "stop":
            for task in tasks:
                task.cancel()
            if trial:
                trial.facts.tell()
                await asyncio.wait_for(trial.close(), CLOSING)
            return


try:
    asyncio.run(main())
except TimeoutError:
    pass
