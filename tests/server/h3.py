"""Asks a server over HTTP/3 with aioquic, and prints the answer the way `curl --include --no-buffer` does.

    h3.py --cacert ca.pem https://localhost:8443/feeds/news/sse
    h3.py --cacert ca.pem --data-binary @event.txt https://localhost:8443/feeds/news
    h3.py --cacert ca.pem --cancel 1000 https://localhost:8443/feeds/news/sse
"""

import argparse
import asyncio
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

# RFC 9114 section 8.1: the request is no longer wanted.
H3_REQUEST_CANCELLED = 0x10C
# Streams opened together; fewer than the server lets us open at once.
TOGETHER = 50


class Client(QuicConnectionProtocol):
    """One connection. What comes on a stream is queued for whoever asked; `None` is the end of the connection."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.queues = {}

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for queue in self.queues.values():
                queue.put_nowait(None)
        elif isinstance(event, StreamReset) and event.stream_id in self.queues:
            self.queues[event.stream_id].put_nowait(event)
        for answer in self.http.handle_event(event):
            if answer.stream_id in self.queues:
                self.queues[answer.stream_id].put_nowait(answer)

    def ask(self, head, body=b""):
        """Sends a request; returns its stream's number."""
        stream = self._quic.get_next_available_stream_id()
        self.queues[stream] = asyncio.Queue()
        self.http.send_headers(stream, head, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        return stream

    async def answer(self, stream):
        """What comes on a stream, until it ends."""
        while (event := await self.queues[stream].get()) is not None:
            if isinstance(event, StreamReset):
                raise ConnectionError(f"the stream was reset with {event.error_code:#x}")
            yield event
            if event.stream_ended:
                return
        raise ConnectionError("the connection was closed")

    async def answered(self, stream):
        """Waits for the answer's header."""
        async for event in self.answer(stream):
            if isinstance(event, HeadersReceived):
                return

    async def wait_closed(self):
        """Does not wait: the peer is told, and there is nobody here to keep the closing period of RFC 9000 section 10.2
        for. It is three probe timeouts long, and on a busy machine those are long themselves."""

    def cancel(self, stream):
        self._quic.stop_stream(stream, H3_REQUEST_CANCELLED)
        self.queues.pop(stream)
        self.transmit()


def head_of(options, url):
    """The request's header, the way HTTP/3 writes it (RFC 9114 section 4.3.1)."""
    fields = [field.partition(":")[::2] for field in options.header]
    fields = [(name.strip().lower(), value.strip()) for name, value in fields]
    authority = next((value for name, value in fields if name == "host"), url.netloc)
    method = options.request or ("GET" if options.data_binary is None else "POST")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    fields = pseudo + [(name, value) for name, value in fields if name != "host"]
    return [(name.encode(), value.encode()) for name, value in fields]


async def show(client, stream):
    out = sys.stdout.buffer
    async for event in client.answer(stream):
        if isinstance(event, HeadersReceived):
            fields = dict(event.headers)
            out.write(b"HTTP/3 %s\r\n" % fields.pop(b":status"))
            for name, value in fields.items():
                out.write(b"%s: %s\r\n" % (name, value))
            out.write(b"\r\n")
        elif isinstance(event, DataReceived):
            out.write(event.data)
        out.flush()


async def open_and_cancel(client, head, count):
    """Opens and cancels streams: the first ones before any answer can be there, the others once they are answered."""
    for stream in [client.ask(head) for _ in range(TOGETHER)]:
        client.cancel(stream)
    for _ in range(count // TOGETHER - 1):
        streams = [client.ask(head) for _ in range(TOGETHER)]
        for stream in streams:
            await client.answered(stream)
        for stream in streams:
            client.cancel(stream)


def parse():
    parser = argparse.ArgumentParser(description="Asks over HTTP/3 and prints the answer.")
    parser.add_argument("url", nargs="+", help="several are asked for one after the other, on one connection")
    parser.add_argument("--cacert", required=True, help="the CA that must vouch for the server")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-X", "--request", help="the method")
    parser.add_argument("--data-binary", help="a body, or @FILE")
    parser.add_argument("--max-time", type=float, help="seconds that all of it may take")
    parser.add_argument("--cancel", type=int, default=0, help="open and cancel so many streams of the first URL before asking the others, or /ping")
    return parser.parse_args()


async def main(options):
    urls = [urlsplit(url) for url in options.url]
    url = urls[0]
    body = (options.data_binary or "").encode()
    if body.startswith(b"@"):
        with open(body[1:].decode(), "rb") as file:
            body = file.read()

    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN)
    configuration.load_verify_locations(cafile=options.cacert)
    async with connect(url.hostname, url.port, configuration=configuration, create_protocol=Client) as client:
        if options.cancel:
            await open_and_cancel(client, head_of(options, url), options.cancel)
            urls = urls[1:] or [urlsplit(f"https://{url.netloc}/ping")]
        for url in urls:
            await show(client, client.ask(head_of(options, url), body))


options = parse()
try:
    asyncio.run(asyncio.wait_for(main(options), options.max_time))
except (ConnectionError, TimeoutError) as error:
    sys.exit(f"h3.py: {error or 'no answer in time'}")
