"""Whose pages may open consoles."""

from __future__ import annotations

import pytest

from console.origins import Origins
from hostler import conf as hostler_conf


@pytest.mark.parametrize(("origin", "host", "allowed"), [
    (None, "proxy.example:6080", True), ("https://proxy.example", "proxy.example:6080", True),
    ("https://PROXY.example:8443", "proxy.example", True), ("http://[::1]:1", "[::1]:6080", True),
    ("https://consoles.example", "10.0.0.1", True), ("https://horizon.example", "10.0.0.1", True),
    ("https://evil.example", "proxy.example", False), ("https://proxy.example.evil", "proxy.example", False),
    ("https://evil.example/proxy.example", "proxy.example", False), ("null", "proxy.example", False),
    ("", "proxy.example", False), ("", "", False), ("null", None, False), ("http://[", "proxy.example", False),
    ("https://proxy.example@evil.example", "proxy.example", False)])
def test_pages_of_the_proxy_and_those_named(origin: str | None, host: str | None, allowed: bool) -> None:
    conf = hostler_conf.load([], config_files=[], overrides={
        "console.novncproxy_base_url": "https://consoles.example/vnc_lite.html",
        "console.allowed_origins": ["horizon.example"]})
    assert Origins(conf.console).allows(origin, host) is allowed
