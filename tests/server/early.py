"""Early data from a client that others wrote: aioquic comes back with a ticket, and asks before the server has answered.

    early.py ca.pem PORT

Prints a line for each request: whether the early data was accepted, its method and the status.
"""

import asyncio
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.answers = {}
        self.silent = False

    def transmit(self):
        if not self.silent:
            super().transmit()

    def quic_event_received(self, event):
        for came in self.http.handle_event(event):
            if isinstance(came, HeadersReceived):
                status = int(dict(came.headers)[b":status"])
                self.answers.pop(came.stream_id).set_result(status)

    def ask(self, method, path, port):
        stream = self._quic.get_next_available_stream_id()
        answer = self.answers[stream] = asyncio.get_running_loop().create_future()
        fields = {":method": method, ":scheme": "https", ":authority": f"localhost:{port}", ":path": path}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        body = b"said twice" if method == "POST" else b""
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        return answer


async def main(ca, port):
    tickets = asyncio.Queue()

    def configuration(ticket=None):
        made = QuicConfiguration(alpn_protocols=H3_ALPN, server_name="localhost", session_ticket=ticket)
        made.load_verify_locations(ca)
        return made

    async def ask(method, path, ticket):
        """On a connection of its own; with a ticket, before its handshake has ended."""
        options = dict(configuration=configuration(ticket), create_protocol=Client)
        keep = dict(session_ticket_handler=tickets.put_nowait, wait_connected=ticket is None)
        async with connect("127.0.0.1", port, **options, **keep) as client:
            answer = client.ask(method, path, port)
            client.transmit()
            # The handshake ends with what the client says next, so that a server that is slow to look at the request
            # would find it ended: it has the answer's time.
            client.silent = ticket is not None
            status = await answer
            client.silent = False
            early = client._quic.tls.early_data_accepted
            if ticket is None:
                return await tickets.get()
            print("early" if early else "late", method, status)

    ticket = await ask("GET", "/ping", None)
    for method, path in [("GET", "/ping"), ("POST", "/feeds/news")]:
        await ask(method, path, ticket)
        # Each is good for once, so another is fetched.
        ticket = await ask("GET", "/ping", None)


asyncio.run(asyncio.wait_for(main(sys.argv[1], int(sys.argv[2])), 60))
