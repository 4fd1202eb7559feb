"""A client that others wrote: tunnels and sessions with aioquic against a server that sends everything back.

    client.py ca.pem PORT
"""

import asyncio
import struct
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3_ALPN, FrameType, H3Connection
from aioquic.h3.events import DataReceived, DatagramReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.configuration import QuicConfiguration

CLOSE_WEBTRANSPORT_SESSION = 0x2843
ENABLE_CONNECT_PROTOCOL, H3_DATAGRAM, ENABLE_WEBTRANSPORT, MAX_SESSIONS = 0x8, 0x33, 0x2B603742, 0xC671706A
WT_MAX_SESSIONS, WT_ENABLED = 0x14E9CD29, 0x2C7CF000


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.events = []
        self.changed = asyncio.Event()

    def quic_event_received(self, event):
        self.events += self.http.handle_event(event)
        self.changed.set()

    async def until(self, found):
        """Waits for a value of `found` that isn't `None`."""
        while (value := found()) is None:
            self.changed.clear()
            await self.changed.wait()
        return value

    def data(self, kind, stream):
        """All of a stream's data, once it has ended."""
        events = [event for event in self.events if isinstance(event, kind) and event.stream_id == stream]
        return b"".join(event.data for event in events) if events and events[-1].stream_ended else None

    async def open(self, protocol, *fields):
        stream = self._quic.get_next_available_stream_id()
        head = [(":method", "CONNECT"), (":scheme", "https"), (":authority", "localhost"), (":path", "/a?b=c")]
        head = [*head, (":protocol", protocol), *fields]
        self.http.send_headers(stream, [(name.encode(), value.encode()) for name, value in head])
        self.transmit()

        def answer():
            for event in self.events:
                if isinstance(event, HeadersReceived) and event.stream_id == stream:
                    return dict(event.headers)

        return stream, await self.until(answer)


async def tunnel(client):
    stream, head = await client.open("websocket", ("sec-websocket-version", "13"))
    assert head[b":status"] == b"200" and head[b"x-path"] == b"/a", head
    sent = bytes(range(256)) * 400
    client.http.send_data(stream, sent, end_stream=True)
    client.transmit()
    assert await client.until(lambda: client.data(DataReceived, stream)) == sent


async def session(client, protocol):
    session, head = await client.open(protocol, ("sec-webtransport-http3-draft02", "1"))
    assert head[b":status"] == b"200" and head[b"sec-webtransport-http3-draft"] == b"draft02", head

    one_way = client.http.create_webtransport_stream(session, is_unidirectional=True)
    client._quic.send_stream_data(one_way, b"one way", end_stream=True)
    both_ways = client.http.create_webtransport_stream(session)
    client._quic.send_stream_data(both_ways, b"both ways", end_stream=True)
    # What aioquic forgets of streams that it opened itself: what comes back carries no frames.
    with client.http._get_or_create_stream(both_ways) as opened:
        opened.frame_type, opened.session_id = FrameType.WEBTRANSPORT_STREAM, session
    client.http.send_datagram(session, b"datagram")
    client.transmit()

    def received(wanted):
        for event in client.events:
            if isinstance(event, DatagramReceived) and (event.stream_id, event.data) == (session, wanted):
                return True
            if isinstance(event, WebTransportStreamDataReceived) and event.session_id == session:
                if client.data(WebTransportStreamDataReceived, event.stream_id) == wanted:
                    return event.stream_id

    assert await client.until(lambda: received(b"one way")) % 4 == 3, "a stream of the server's, one way"
    assert await client.until(lambda: client.data(WebTransportStreamDataReceived, both_ways)) == b"both ways"
    assert await client.until(lambda: received(b"mine: both ways")) % 4 == 1, "a stream of the server's, both ways"
    await client.until(lambda: received(b"datagram"))
    return session


async def closed_by_the_server(client):
    stream = await session(client, "webtransport")
    ask = client.http.create_webtransport_stream(stream, is_unidirectional=True)
    client._quic.send_stream_data(ask, "close 9 genug für heute".encode(), end_stream=True)
    client.transmit()
    capsule = Buffer(data=await client.until(lambda: client.data(DataReceived, stream)))
    assert capsule.pull_uint_var() == CLOSE_WEBTRANSPORT_SESSION
    payload = capsule.pull_bytes(capsule.pull_uint_var())
    assert payload == struct.pack(">I", 9) + "genug für heute".encode(), payload
    assert capsule.eof()


async def closed_by_the_client(client):
    stream = await session(client, "webtransport-h3")
    payload = struct.pack(">I", 5) + b"enough"
    unknown = encode_uint_var(0x1234) + encode_uint_var(3) + b"???"
    capsule = encode_uint_var(CLOSE_WEBTRANSPORT_SESSION) + encode_uint_var(len(payload)) + payload
    client.http.send_data(stream, unknown + capsule, end_stream=True)
    client.transmit()
    await client.until(lambda: client.data(DataReceived, stream))


async def main(ca, port):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, max_datagram_frame_size=65536)
    configuration.load_verify_locations(cafile=ca)
    async with connect("localhost", port, configuration=configuration, create_protocol=Client) as client:
        settings = await client.until(lambda: client.http.received_settings)
        assert settings[ENABLE_CONNECT_PROTOCOL] == settings[H3_DATAGRAM] == settings[ENABLE_WEBTRANSPORT] == 1
        assert settings[MAX_SESSIONS] == 1000 and settings[WT_MAX_SESSIONS] == settings[WT_ENABLED] == 1
        await tunnel(client)
        await closed_by_the_server(client)
        await closed_by_the_client(client)


asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2])), 120))
