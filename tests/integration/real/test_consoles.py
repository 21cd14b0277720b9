"""Consoles of a real guest: the proxy as a process of its own, the host's relay over TLS, WebSocket clients.

The tests run in their order and share one server.
"""

from __future__ import annotations

import base64
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import browser
from tests.harness.browser import Browser
from tests.harness.ports import is_open, wait_for
from tests.harness.real_guests import BOOT_S
from tests.harness.real_world import World
from tests.harness.websockets import Closed, Refused, WebSocket
from tests.harness.whole_fleet import RELAY_PORT

CLIENTS = {"novnc": "/usr/share/novnc/vnc_lite.html", "spice-html5": "/usr/share/spice-html5/spice_auto.html"}
_RAW_32_BIT = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)

# The share of the canvas's pixels that are as in a picture (a PNG file in base64); 0 without one, or with one colour.
_ALIKE = """(async () => {
  const canvas = document.querySelector("canvas");
  const image = new Image();
  image.src = "data:image/png;base64,%s";
  await image.decode();
  if (!canvas || image.width !== canvas.width || image.height !== canvas.height) return 0;
  const copy = new OffscreenCanvas(image.width, image.height).getContext("2d");
  copy.drawImage(image, 0, 0);
  const [shown, expected] = [canvas.getContext("2d"), copy].map(
    (context) => context.getImageData(0, 0, image.width, image.height).data);
  const colours = new Set();
  let same = 0;
  for (let at = 0; at < shown.length; at += 4) {
    colours.add(`${shown[at]} ${shown[at + 1]} ${shown[at + 2]}`);
    same += [0, 1, 2].every((part) => Math.abs(shown[at + part] - expected[at + part]) < 9) ? 1 : 0;
  }
  return colours.size > 1 ? 4 * same / shown.length : 0;
})()"""


class Consoles:
    """The server's consoles."""

    def __init__(self, world: World) -> None:
        self.world, self.guest = world, world.running("one", world.cloud.hosts[0])

    def url(self, kind: str) -> str:
        """Return a console's URL, from the unmodified client."""
        return str(self.world.cloud.openstack_json("console", "url", "show", f"--{kind}", "one")["url"])

    def socket(self, kind: str) -> str:
        """Return where a page at that URL opens its WebSocket."""
        return re.sub(r"^\w+://([^/]+)/[\w.]*\?", r"ws://\1/websockify?", self.url(kind))


@pytest.fixture(scope="module")
def consoles(world: World) -> Consoles:
    """Take the server."""
    return Consoles(world)


def look(console: WebSocket) -> tuple[int, int, bytes]:
    """Shake hands by RFB 3.8 without a password; return width, height and the pixels of the whole screen."""
    assert console.read(12) == b"RFB 003.008\n"
    console.send(b"RFB 003.008\n")
    assert 1 in console.read(console.read(1)[0])
    console.send(b"\x01")
    assert console.read(4) == bytes(4)
    console.send(b"\x01")
    width, height = struct.unpack(">HH", console.read(4))
    console.read(16)
    console.read(struct.unpack(">I", console.read(4))[0])
    console.send(struct.pack(">Bxxx", 0) + _RAW_32_BIT + struct.pack(">BxHi", 2, 1, 0))
    console.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    pixels, missing = bytearray(width * height * 4), width * height
    while missing > 0:
        assert console.read(1) == b"\0"
        [rectangles] = struct.unpack(">xH", console.read(3))
        for _ in range(rectangles):
            x, y, wide, high, encoding = struct.unpack(">HHHHi", console.read(12))
            assert encoding == 0
            for row in range(high):
                start = ((y + row) * width + x) * 4
                pixels[start:start + wide * 4] = console.read(wide * 4)
            missing -= wide * high
    return width, height, bytes(pixels)


@pytest.mark.contract("N-CONSOLE", "N-CLI")
def test_the_serial_console_gives_the_login_prompt_and_its_log_goes_on(consoles: Consoles) -> None:
    url = consoles.socket("serial")
    console = WebSocket(url)
    console.send(b"\r")
    console.read_until(b"one login: ", timeout_s=BOOT_S)
    # No further: login throws away what was typed while it asked for the password, and a test types too fast.
    console.send(b"root\r")
    console.read_until(b"assword: ")
    with pytest.raises(Refused) as again:
        WebSocket(url)
    assert again.value.status == 403
    second = WebSocket(consoles.socket("serial"))
    second.send(b"\r")
    second.read_until(b"\n")
    second.close()
    wait_for(lambda: "assword: " in consoles.guest.console(), "the log", 20)


@pytest.mark.contract("N-CONSOLE", "N-CLI")
def test_vnc_shows_the_screen(consoles: Consoles) -> None:
    url = consoles.socket("novnc")
    console = WebSocket(url)
    width, height, pixels = look(console)
    colours = {pixels[index:index + 3] for index in range(0, len(pixels), 4)}
    assert width >= 640 and height >= 400 and len(colours) > 1, "a screen with something on it"
    with pytest.raises(Refused) as again:
        WebSocket(url)
    assert again.value.status == 403


@pytest.mark.contract("N-CONSOLE", "N-CLI", "Z-SPICE")
def test_spice_shakes_hands_and_its_channels_are_one_use(consoles: Consoles) -> None:
    url = consoles.socket("spice")
    for channel in (1, 2, 3):
        console = WebSocket(url)
        # SpiceLinkHeader 2.2 and SpiceLinkMess, without capabilities.
        console.send(b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, channel, 0, 0, 0, 18))
        assert console.read(4) == b"REDQ", channel
        major, _minor, _size = struct.unpack("<III", console.read(12))
        assert major == 2
        console.close()


def test_consoles_have_no_port_and_the_relay_takes_proxies_alone(consoles: Consoles, tmp_path: Path) -> None:
    host = consoles.guest.host
    listening = host.check("ss -ltnp")
    assert not [line for line in listening.splitlines() if "qemu" in line], listening
    assert re.search(rf"{re.escape(host.address)}:{RELAY_PORT}\b.*python", listening), listening
    connect = ["openssl", "s_client", "-connect", f"{host.address}:{RELAY_PORT}", "-quiet", "-verify_quiet", "-CAfile",
               str(consoles.world.cloud.pki / "ca" / "ca-cert.pem")]
    request = b"CONNECT /x/vnc/1/y HTTP/1.1\r\nAuthorization: Bearer z\r\n\r\n"

    def answer(*words: str) -> bytes:
        return subprocess.run([*connect, *words], input=request, capture_output=True, check=False, timeout=20).stdout

    def identity(name: str) -> tuple[str, ...]:
        return ("-cert", str(consoles.world.cloud.pki / name / "client-cert.pem"), "-key",
                str(consoles.world.cloud.pki / name / "client-key.pem"), "-ign_eof")

    assert answer("-ign_eof") == b""
    assert answer(*identity("stranger")).startswith(b"HTTP/1.1 403")
    assert answer(*identity("proxy")).startswith(b"HTTP/1.1 403"), "that token was not granted"
    assert is_open(RELAY_PORT, host.address)


@pytest.fixture(scope="module")
def page(consoles: Consoles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Run a browser, where there are one and the pages that it is to show."""
    absent = browser.missing() or next((f"the package {package} is not installed" for package, file in CLIENTS.items()
                                        if not Path(file).exists()), None)
    if absent:
        pytest.skip(absent)
    with browser.browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.contract("N-CONSOLE", "N-CLI")
@pytest.mark.parametrize("kind", ["novnc", "spice"])
def test_a_browser_shows_the_screen(consoles: Consoles, page: Browser, tmp_path: Path, kind: str) -> None:
    page.open(consoles.url(kind))
    picture = tmp_path / "screen.png"

    def alike() -> bool:
        consoles.guest.virsh("screenshot", str(picture))  # each time: a cursor blinks
        share = page.evaluate(_ALIKE % base64.b64encode(picture.read_bytes()).decode())
        return isinstance(share, (int, float)) and share > 0.98

    wait_for(alike, f"the guest's screen in the page of {kind}", 60, every_s=0.5)


@pytest.mark.contract("N-CONSOLE", "N-CLI")
def test_a_browser_talks_to_the_serial_console(consoles: Consoles, page: Browser) -> None:
    page.open(re.sub(r"^ws://([^/]+)/", r"http://\1/serial.html", consoles.url("serial")))
    page.wait_for("document.getElementById('state').textContent === 'Connected'", "the serial console")

    def asked() -> bool:
        page.press_enter()  # what the guest sent before is not repeated: it is to ask again
        return "login:" in str(page.evaluate("document.getElementById('terminal').textContent"))

    wait_for(asked, "the login prompt", BOOT_S, every_s=1)


@pytest.mark.contract("N-CONSOLE")
def test_what_is_open_ends_with_the_server_and_what_was_not_opened_is_void(consoles: Consoles) -> None:
    console = WebSocket(consoles.socket("novnc"))
    assert console.read(12) == b"RFB 003.008\n"
    unused = consoles.socket("novnc")
    consoles.world.client.delete(f"/compute/v2.1/servers/{consoles.guest.id}").raise_for_status()
    consoles.world.client.wait_gone(consoles.guest.id, timeout_s=90)
    with pytest.raises((Closed, ConnectionError)):
        console.read(1 << 20)
    with pytest.raises(Refused) as refused:
        WebSocket(unused)
    assert refused.value.status == 403
    for name in ("console", "api", consoles.guest.host.name):
        assert unused.partition("token=")[2] not in consoles.world.cloud.fleet.processes[name].log.read_text(), name
