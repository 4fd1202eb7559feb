"""Sessions on raw QUIC with aioquic, one for each first line: publishes, and prints what comes, a line of JSON each.

    quic.py --cacert ca.pem --port 8444 --line '/feeds/news/quic?mode=stream' --bidi hello --events 1 --close 7
"""

import argparse
import asyncio
import json
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration


def say(**what):
    print(json.dumps(what), flush=True)


class Session(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.streams, self.first, self.told = {}, None, 0
        self.answered = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        self.over = asyncio.Event()

    def tell(self, text, **how):
        self.told += 1
        say(event=json.loads(text), **how)
        self.news.set()

    def quic_event_received(self, event):
        match event:
            case events.StreamDataReceived(stream_id=stream, data=data, end_stream=end):
                text = self.streams[stream] = self.streams.get(stream, b"") + data
                if stream == self.first:
                    if b"\n" in text and not self.answered.done():
                        self.answered.set_result(json.loads(text))
                elif stream % 4 == 0:
                    if end:
                        say(reply=json.loads(text))
                        self.told += 1
                        self.news.set()
                elif end and b"\n" not in text:
                    self.tell(text, on="streams")
                else:
                    *lines, self.streams[stream] = text.split(b"\n")
                    for line in filter(None, lines):
                        self.tell(line, on="stream")
            case events.DatagramFrameReceived(data=data):
                self.tell(data, on="datagrams")
            case events.StopSendingReceived(error_code=code):
                say(stopped=code)
                self.told += 1
                self.news.set()
            case events.ConnectionTerminated(error_code=code, reason_phrase=reason):
                say(closed=code, reason=reason)
                self.over.set()
                if not self.answered.done():
                    self.answered.set_result(None)


async def run(line, options):
    configuration = QuicConfiguration(alpn_protocols=["transport-lab"], max_datagram_frame_size=65536)
    configuration.load_verify_locations(options.cacert)
    configuration.server_name = "localhost"
    async with connect("127.0.0.1", options.port, configuration=configuration, create_protocol=Session) as session:
        quic = session._quic
        session.first = quic.get_next_available_stream_id()
        quic.send_stream_data(session.first, line.encode() + b"\n")
        session.transmit()
        answer = await session.answered
        say(answer=answer)
        if answer is None or answer["status"] != 200:
            await session.over.wait()
            return
        for way, text in options.publish:
            if way == "datagram":
                quic.send_datagram_frame(text.encode())
            else:
                stream = quic.get_next_available_stream_id(is_unidirectional=way == "uni")
                quic.send_stream_data(stream, text.encode(), end_stream=True)
            session.transmit()
        while session.told < options.events and not session.over.is_set():
            session.news.clear()
            await session.news.wait()
        if options.close is None:
            await session.over.wait()
        else:
            session.close(error_code=options.close, reason_phrase="enough")


parser = argparse.ArgumentParser()
parser.add_argument("--cacert", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--line", action="append", required=True)
for way in ("uni", "bidi", "datagram"):
    parser.add_argument(f"--{way}", dest="publish", type=lambda text, way=way: (way, text), action="append", default=[])
parser.add_argument("--events", type=int, default=0, help="how many events, replies and stops to wait for")
parser.add_argument("--close", type=int, help="the code to close with; without it the server's close is waited for")
options = parser.parse_args()
try:
    for line in options.line:
        asyncio.run(asyncio.wait_for(run(line, options), 60))
except (ConnectionError, asyncio.TimeoutError) as error:
    sys.exit(f"quic.py: {error!r}")
