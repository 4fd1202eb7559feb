"""Drives the page of a browser that was started with `--remote-debugging-port=0`: keys, and what the page shows.

    drive.py chromium PROFILE
    drive.py firefox PROFILE

Each line of standard input is a command, and is answered by one line: `eval JAVASCRIPT` by the expression's value as
JSON, `type TEXT` and `key Tab|Enter|Space` by `null`. Chromium is asked over its DevTools protocol, Firefox over WebDriver BiDi.
"""

import contextlib
import json
import pathlib
import sys
import time
import urllib.request

from websockets.sync.client import connect

# How long a browser may take until it can be asked, in seconds.
PATIENCE = 60
open_until_the_end = contextlib.ExitStack()
KEYS = {"Tab": ("\ue004", 9, ""), "Enter": ("\ue007", 13, "\r"), "Space": (" ", 32, " ")}


def until(look):
    """Waits for something that a browser has yet to make."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (OSError, ValueError, IndexError, RuntimeError):
            pass
        time.sleep(0.02)
    sys.exit("the browser gave nothing to drive it by")


class Wire:
    """Commands with numbers, and their answers; events are passed over."""

    def __init__(self, url):
        self.socket = open_until_the_end.enter_context(connect(url, max_size=None))
        self.number = 0

    def ask(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            told = json.loads(self.socket.recv())
            if told.get("id") == self.number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told}")
                return told["result"]


class Chromium:
    def __init__(self, profile):
        port = until(lambda: (profile / "profile/DevToolsActivePort").read_text().split()[0])
        self.wire = Wire(until(lambda: self.page(port)))

    @staticmethod
    def page(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [target for target in json.load(answer) if target["type"] == "page"]
        return pages[0]["webSocketDebuggerUrl"]

    def eval(self, script):
        told = self.wire.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(told)
        return told["result"]["value"]

    def type(self, text):
        self.wire.ask("Input.insertText", text=text)

    def key(self, name):
        _, code, text = KEYS[name]
        key = {"key": name if len(text) != 1 or name == "Enter" else text, "code": name, "windowsVirtualKeyCode": code}
        self.wire.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **key)
        self.wire.ask("Input.dispatchKeyEvent", type="keyUp", **key)


class Firefox:
    def __init__(self, profile):
        said = until(lambda: json.loads((profile / "WebDriverBiDiServer.json").read_text()))
        self.wire = Wire(f"ws://{said['ws_host']}:{said['ws_port']}/session")
        self.wire.ask("session.new", capabilities={})
        self.page = until(lambda: self.wire.ask("browsingContext.getTree")["contexts"])[0]["context"]

    def eval(self, script):
        told = self.wire.ask("script.evaluate", expression=script, target={"context": self.page}, awaitPromise=True)
        if told["type"] != "success":
            raise RuntimeError(told)
        return told["result"]["value"]

    def press(self, values):
        actions = [{"type": kind, "value": value} for value in values for kind in ("keyDown", "keyUp")]
        keyboard = {"type": "key", "id": "keyboard", "actions": actions}
        self.wire.ask("input.performActions", context=self.page, actions=[keyboard])

    def type(self, text):
        self.press(text)

    def key(self, name):
        self.press([KEYS[name][0]])


browser = {"chromium": Chromium, "firefox": Firefox}[sys.argv[1]](pathlib.Path(sys.argv[2]))
until(lambda: browser.eval("document.readyState === 'complete' && location.protocol === 'https:'"))
for line in sys.stdin:
    command, _, rest = line.rstrip("\n").partition(" ")
    if command == "eval":
        print(browser.eval(f"(async () => JSON.stringify((await ({rest})) ?? null))()"), flush=True)
    else:
        getattr(browser, command)(rest)
        print("null", flush=True)
