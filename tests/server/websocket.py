"""A WebSocket client (Python's `websockets`) that is told what to do, a line of JSON at a time, and says what happens.

    websocket.py ca.pem wss://localhost:8441/feeds/news/websocket [SUBPROTOCOL]

It reads {"text": …}, {"base64": …}, {"fragments": […]}, {"ping": true}, {"close": 1000}, and writes {"open": SUBPROTOCOL
or null}, {"refused": STATUS}, {"text": …}, {"base64": …}, {"pong": true}, {"closed": CODE, "reason": …}.
"""

import asyncio
import base64
import json
import ssl
import sys

import websockets
from websockets.asyncio.client import connect


def say(**line):
    print(json.dumps(line), flush=True)


async def do(socket):
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        if "text" in told:
            await socket.send(told["text"])
        elif "base64" in told:
            await socket.send(base64.b64decode(told["base64"]))
        elif "fragments" in told:
            await socket.send(iter(told["fragments"]))
        elif "ping" in told:
            await (await socket.ping())
            say(pong=True)
        elif "close" in told:
            await socket.close(told["close"])


async def main(ca, url, *subprotocols):
    context = ssl.create_default_context(cafile=ca)
    try:
        socket = await connect(url, ssl=context, subprotocols=subprotocols or None, max_size=None, proxy=None)
    except websockets.exceptions.InvalidStatus as error:
        say(refused=error.response.status_code)
        return
    say(open=socket.subprotocol)
    doing = asyncio.create_task(do(socket))
    try:
        async for message in socket:
            if isinstance(message, str):
                say(text=message)
            else:
                say(base64=base64.b64encode(message).decode())
    except websockets.exceptions.ConnectionClosedError:
        pass
    say(closed=socket.close_code, reason=socket.close_reason)
    doing.cancel()


asyncio.run(main(*sys.argv[1:]))
