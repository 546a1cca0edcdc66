"""A real headless Chromium for tests of what people see, spoken to over two pipes.

Chromium's own protocol on file descriptors 3 and 4 (`--remote-debugging-pipe`) needs no port, no driver program and
no package, and a browser whose pipe ends, ends itself: a killed test leaves none behind. Use the fixture:

    from tests.browser import Chromium, chromium

    __all__ = ["chromium"]  # a fixture

    def test_page(chromium: Chromium) -> None:
        with chromium.open(path.as_uri(), width=800) as tab:
            assert tab.run("document.title") == "..."
            assert tab.complaints == []
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SHOTS = Path(__file__).parents[1] / "reports" / "screenshots"
"""Where tests leave what they saw, for people; not kept in git."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--remote-allow-origins=none",
)
ANSWER_S = 60.0
END_S = 10.0


class PageError(AssertionError):
    """A script that a test ran in a page failed, or the browser did."""


class Chromium:
    """One browser process. Every page has storage, cookies and a cache of its own."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="drill-chromium-")
        commands, self._out = _high_pipe()
        self._in, answers = _high_pipe()
        # The shell moves the pipes to 3 and 4, whatever their numbers are here.
        line = f'exec 3</proc/self/fd/{commands} 4>/proc/self/fd/{answers}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["sh", "-c", line, program, *FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            pass_fds=(commands, answers),
            env=os.environ | {"TMPDIR": self._profile},  # what it leaves there goes with its profile
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._buffer = b""
        self._number = 0
        self._tabs: dict[str, Tab] = {}

    @contextmanager
    def open(
        self, url: str, width: int = 1400, height: int = 900, dark: bool = False, script: bool = True
    ) -> Iterator[Tab]:
        """A page, loaded. width, height: CSS pixels; dark: what it is told the reader prefers; script: False is
        a browser without JavaScript."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        made = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        try:
            tab.prepare(width, height, dark, script)
            tab.go(url)
            yield tab
        finally:
            del self._tabs[session]
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Ask the browser, and wait for its answer. PageError when it refuses."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        os.write(self._out, json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0")
        return self._answer(self._number, method)

    def listen(self) -> None:
        """Take in one message, an event or nothing within a tenth of a second."""
        message = self._message(0.1)
        if message is not None:
            self._hear(message)

    def close(self) -> None:
        """End the browser with all that it started; nothing of it stays."""
        with suppress(OSError, PageError):
            self.call("Browser.close")
        os.close(self._out)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(END_S)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _answer(self, number: int, method: str) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            message = self._message(1.0)
            if message is None:
                continue
            if message.get("id") != number:
                self._hear(message)
            elif "error" in message:
                raise PageError(f"{method}: {message['error']['message']}")
            else:
                found: dict[str, Any] = message["result"]
                return found
        raise PageError(f"{method}: no answer from Chromium within {ANSWER_S:g} s")

    def _message(self, wait_s: float) -> dict[str, Any] | None:
        if b"\0" not in self._buffer:
            if not select.select([self._in], [], [], wait_s)[0]:
                return None
            data = os.read(self._in, 1 << 20)
            if not data:
                raise PageError(f"Chromium ended by itself (code {self._process.poll()})")
            self._buffer += data
        if b"\0" not in self._buffer:
            return None
        whole, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(whole)
        return found

    def _hear(self, message: dict[str, Any]) -> None:
        tab = self._tabs.get(message.get("sessionId", ""))
        if tab is not None:
            tab.hear(message["method"], message.get("params", {}))


class Tab:
    """One page. requests: every address that it asked for; complaints: what its console, its policy or its scripts
    had to complain about."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        self._loaded = False
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def prepare(self, width: int, height: int, dark: bool, script: bool) -> None:
        """What is said to the page before it is loaded."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.media("screen", dark)
        if not script:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def go(self, url: str) -> None:
        """Load an address, and wait until it is loaded."""
        self._loaded = False
        failed = self.call("Page.navigate", url=url).get("errorText")
        if failed:
            raise PageError(f"{url}: {failed}")
        self.wait(lambda: self._loaded, f"{url} is loaded")

    def size(self, width: int, height: int) -> None:
        """Make the window that wide and high (CSS pixels)."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def media(self, kind: str = "screen", dark: bool = False) -> None:
        """Show the page as on "screen" or in "print", for a reader who likes it dark or not."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return found["result"].get("value")

    def eventually(self, script: str, within_s: float = 30.0) -> Any:
        """The value of an expression once it is true; PageError when it never is."""
        found = None

        def true() -> bool:
            nonlocal found
            found = self.run(script)
            return bool(found)

        self.wait(true, script, within_s)
        return found

    def wait(self, true: Any, what: str, within_s: float = 30.0) -> None:
        """Listen until something is true."""
        deadline = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline:
                raise PageError(f"not within {within_s:g} s: {what}")
            self._browser.listen()

    def press(self, key: str) -> None:
        """Press and release a key by its name ("Tab", "Enter", "ArrowRight", "+")."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}
        code = codes.get(key, ord(key[0]))
        written = {"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **written)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def drag(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Press the mouse at one place of the window and release it at another."""
        for kind, x, y, down in (("mouseMoved", x0, y0, 0), ("mousePressed", x0, y0, 1), ("mouseMoved", x1, y1, 1)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=down, clickCount=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x1, y=y1, button="left", clickCount=1)

    def shot(self, name: str) -> Path:
        """Keep a picture of the whole page as reports/screenshots/NAME.png."""
        height = self.run("Math.min(document.documentElement.scrollHeight, 12000)")
        width = self.run("document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        path.write_bytes(base64.b64decode(data))
        return path

    def pdf(self) -> bytes:
        """The page as it would be printed to PDF, in A4."""
        data = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)["data"]
        return base64.b64decode(data)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the browser about this page, in its own protocol."""
        return self._browser.call(method, self._session, **params)

    def hear(self, method: str, params: dict[str, Any]) -> None:
        """Take in what the browser says of this page."""
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {params['exceptionDetails']}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {params['args']}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"log: {params['entry']['text']}")


def installed() -> str | None:
    """The path of a Chromium on this machine, None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser for all tests of a session; skipped without one (apt-get install chromium)."""
    program = installed()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    browser = Chromium(program)
    try:
        yield browser
    finally:
        browser.close()


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are numbered 10 or more, out of the way of 3 and 4."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
