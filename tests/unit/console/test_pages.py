"""What browsers may fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.pages import Pages
from hostler import conf as hostler_conf


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    for name in ("novnc/vnc_lite.html", "novnc/core/rfb.js", "spice/spice_auto.html", "spice/main.js", "xterm/xterm.js",
                 "novnc/.hidden", "secret"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(name)
    conf = hostler_conf.load([], config_files=[], overrides={
        "console.novnc_path": str(tmp_path / "novnc"), "console.spice_html5_path": str(tmp_path / "spice"),
        "console.xterm_path": str(tmp_path / "xterm")})
    return Pages(conf.console)


@pytest.mark.parametrize(("path", "content"), [
    ("vnc_lite.html", b"novnc/vnc_lite.html"), ("core/rfb.js", b"novnc/core/rfb.js"), ("main.js", b"spice/main.js"),
    ("xterm/xterm.js", b"xterm/xterm.js")])
def test_files_of_the_clients(pages: Pages, path: str, content: bytes) -> None:
    assert (pages.find(path, "").status, pages.find(path, "").content) == (200, content)


def test_xterm_is_found_side_by_side_and_as_npm_has_it(pages: Pages, tmp_path: Path) -> None:
    (tmp_path / "xterm" / "xterm.js").rename(tmp_path / "xterm.js")
    missing = pages.find("xterm/xterm.js", "")
    assert missing.status == 404
    assert b"package @xterm/xterm of npm" in missing.content and b"xterm_path" in missing.content
    for folder, name in (("lib", "xterm.js"), ("css", "xterm.css")):
        (tmp_path / "xterm" / folder).mkdir()
        (tmp_path / "xterm" / folder / name).write_text(name)
        assert (pages.find(f"xterm/{name}", "").status, pages.find(f"xterm/{name}", "").content) == (200, name.encode())


def test_a_token_becomes_the_path_of_the_web_socket(pages: Pages) -> None:
    for asked, page in (("vnc_auto.html", "vnc_lite.html"), ("vnc_lite.html", "vnc_lite.html"),
                        ("spice_auto.html", "spice_auto.html")):
        found = pages.find(asked, "token=ab-cd")
        assert (found.status, found.location) == (302, f"/{page}?path=%3Ftoken%3Dab-cd&autoconnect=true")
    hostile = pages.find("vnc_lite.html", "token=%0d%0aSet-Cookie:x").location
    assert hostile == "/vnc_lite.html?path=%3Ftoken%3D%0D%0ASet-Cookie%3Ax&autoconnect=true"


@pytest.mark.parametrize("path", ["../secret", "core/../../secret", ".hidden", "xterm/../secret", "nothing", "core",
                                  "core/rfb.js\0.html", "//secret", "xterm//secret"])
def test_nothing_else_is_served(pages: Pages, path: str) -> None:
    assert pages.find(path, "").status == 404
