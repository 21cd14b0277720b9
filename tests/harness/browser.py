"""A headless Chromium with one page, driven over its DevTools protocol (https://chromedevtools.github.io/devtools-protocol)."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.harness.ports import wait_for
from tests.harness.websockets import WebSocket

# Without the flags about networking it tries to reach its maker's hosts, again and again.
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
          "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
          "--window-size=1400,1000", "--remote-debugging-port=0")
_START_S = 60  # to be found on a busy machine


def missing() -> str | None:
    """Return why no browser can be started; None when one can."""
    return None if shutil.which("chromium") else "Chromium is not installed (Debian: the package chromium)"


class Browser:
    """Its page; `evaluate` runs there."""

    def __init__(self, page: WebSocket) -> None:
        self._page = page
        self._calls = 0

    def open(self, url: str) -> None:
        """Go to a page, without waiting until it has loaded."""
        self._call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, of a promise its result; None when it raises.

        A page on its way to another one forgets what it was asked: it raises, too.
        """
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer.get("result", {}).get("value")

    def wait_for(self, expression: str, what: str, timeout_s: float = 60) -> Any:
        """Return the first true value of an expression."""
        return wait_for(lambda: self.evaluate(expression), what, timeout_s, every_s=0.3)

    def press_enter(self) -> None:
        """Press and let go of the key, wherever the page has its focus."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self._call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self._call("Input.dispatchKeyEvent", type="keyUp", **key)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        self._page.send_text(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._page.read_message())
            if message.get("id") == self._calls:
                return dict(message.get("result", {}))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Run a browser with an empty profile."""
    process = subprocess.Popen(["chromium", *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = WebSocket(str(wait_for(lambda: _page_of(profile), "a page of the browser", _START_S)), timeout_s=60)
        try:
            yield Browser(page)
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(30)


def _page_of(profile: Path) -> str | None:
    try:
        port = (profile / "DevToolsActivePort").read_text().split()[0]
        pages = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=10).json()
    except (OSError, IndexError):  # not written yet, or not listening yet
        return None
    return next((str(page["webSocketDebuggerUrl"]) for page in pages if page["type"] == "page"), None)
