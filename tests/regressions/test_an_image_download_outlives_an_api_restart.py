"""An api that was restarted while an agent fetched an image from it failed the server's build."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler import errors
from hostler.images import download
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec

CONTENT = os.urandom(3 * 1024 * 1024 + 17)
CUT = 1024 * 1024 + 5


class Api(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `failures` says how each request goes wrong before one goes well."""

    def __init__(self, failures: list[str], ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures, self.ranges, self.asked = failures, ranges, list[str | None]()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        failure = self.server.failures.pop(0) if self.server.failures else ""
        if failure.isdigit():
            self.send_error(int(failure))
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:start + CUT] if failure == "cut" else CONTENT[start:])

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", (0.01, 0.01))


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path, max_bytes=1 << 30, min_age_s=0)


def fetch(cache: ImageCache, api: Api) -> Path:
    threading.Thread(target=api.serve_forever, daemon=True).start()
    try:
        return cache.fetch(ImageSpec(
            id="i", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT), disk_format="raw",
            virtual_size_bytes=len(CONTENT), url=f"http://127.0.0.1:{api.server_port}/image"))
    finally:
        api.shutdown()
        api.server_close()


@pytest.fixture(params=[["cut", "503", "cut"], ["500", "502"], ["cut"], []], ids=",".join)
def failures(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    yield list(request.param)


@pytest.mark.parametrize("ranges", [True, False])
def test_what_came_is_kept_and_the_rest_follows(cache: ImageCache, failures: list[str], ranges: bool) -> None:
    api = Api(failures, ranges)
    assert fetch(cache, api).read_bytes() == CONTENT
    assert api.failures == []


def test_the_rest_is_asked_for_by_range(cache: ImageCache) -> None:
    api = Api(["cut"])
    fetch(cache, api)
    [first, second] = api.asked
    assert first is None and second is not None and 0 < int(second[6:-1]) <= CUT


@pytest.mark.parametrize("status", ["403", "404", "410"])
def test_what_will_not_pass_is_not_waited_for(cache: ImageCache, status: str) -> None:
    api = Api([status, status])
    with pytest.raises(errors.AgentError, match="could not be downloaded"):
        fetch(cache, api)
    assert len(api.asked) == 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch, cache: ImageCache) -> None:
    api = Api(["503"] * 100)
    monkeypatch.setattr(download.blocks, "__kwdefaults__", {"patience_s": 0.05})
    with pytest.raises(errors.AgentError, match="could not be downloaded"):
        fetch(cache, api)
