"""What a browser may fetch: the pages of noVNC and the SPICE client, as installed on this machine, and our own.

Users arrive with `?token=…`. noVNC and the SPICE client have no notion of tokens but take a path for their WebSocket,
so browsers are redirected to `?path=?token=…`. Tokens are not checked here.
"""

from __future__ import annotations

import dataclasses
import mimetypes
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode

from oslo_config import cfg

_VNC_PAGES: Final = ("vnc_auto.html", "vnc_lite.html", "vnc.html")
_SPICE_PAGES: Final = ("spice_auto.html", "spice.html")
_HTML: Final = "text/html; charset=utf-8"
_MISSING: Final = ("{what} is not installed on this console proxy. Its operator must install the package {package}, or "
                   "set [console] {option} to where it is.")


@dataclasses.dataclass(frozen=True)
class Page:
    """An answer; one with a `location` sends the browser there."""

    status: int
    content: bytes = b""
    type: str = _HTML
    location: str | None = None


class Pages:
    """Finds pages by path."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr) -> None:
        self._novnc, self._spice = Path(options.novnc_path), Path(options.spice_html5_path)
        self._xterm = Path(options.xterm_path)

    def find(self, path: str, query: str) -> Page:
        """Return the page at `path`, without its leading slash."""
        asked = parse_qs(query)
        token = asked.get("token", [""])[0]
        if path in _VNC_PAGES:
            return self._client(path, token, self._novnc, _VNC_PAGES, ("noVNC", "novnc", "novnc_path"))
        if path in _SPICE_PAGES:
            return self._client(path, token, self._spice, _SPICE_PAGES,
                                ("The SPICE HTML5 client", "spice-html5", "spice_html5_path"))
        if path in ("", "serial.html"):
            return _ours("serial.html" if token or path else "index.html")
        parts = path.split("/")
        if any(part.startswith(".") or "\0" in part for part in parts):
            return _text(404, "Not found")
        if parts[0] == "xterm":
            return self._of_xterm(parts[1:])
        found = _file(self._novnc / path)
        return found if found.status == 200 else _file(self._spice / path)

    def _of_xterm(self, parts: list[str]) -> Page:
        """Return a file of xterm.js: npm's package has them in folders by their kinds, others side by side."""
        found = (_file(self._xterm.joinpath(folder, *parts)) for folder in ("", "lib", "css"))
        return next((page for page in found if page.status == 200), _text(404, _MISSING.format(
            what="xterm.js", package="@xterm/xterm of npm", option="xterm_path")))

    def _client(self, path: str, token: str, directory: Path, pages: tuple[str, ...],
                missing: tuple[str, str, str]) -> Page:
        present = next((page for page in (path, *pages) if (directory / page).is_file()), None)
        if present is None:
            what, package, option = missing
            return _text(503, _MISSING.format(what=what, package=package, option=option))
        if token or present != path:
            onward = urlencode({"path": f"?token={token}", "autoconnect": "true"} if token else {})
            return Page(302, location=f"/{present}{'?' if onward else ''}{onward}")
        return _file(directory / present)


def _ours(name: str) -> Page:
    return Page(200, resources.files("console").joinpath("web", name).read_bytes())


def _text(status: int, text: str) -> Page:
    return Page(status, f"{text}\n".encode(), "text/plain; charset=utf-8")


def _file(path: Path) -> Page:
    try:
        return Page(200, path.read_bytes(), _type_of(path))
    except OSError:
        return _text(404, "Not found")


def _type_of(path: Path) -> str:
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _HTML if guessed == "text/html" else guessed
