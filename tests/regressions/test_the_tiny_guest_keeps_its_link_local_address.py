"""The tiny guest flushed all addresses of a card when it began to ask for one by DHCP, its IPv6 link-local one, too.

It could then not ask for an IPv6 address (DHCPv6), nor for routers.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from compute.network import namespaces
from tests.harness import network_lab

pytestmark = network_lab.NEEDS
_SCRIPT = Path(__file__).resolve().parents[2] / "hostler" / "images" / "tiny" / "overlay" / "bin" / "tiny-lease"


def test_when_it_asks_for_an_ipv4_address(tmp_path: Path) -> None:
    guest, bin_path = tmp_path / "guest", tmp_path / "bin"
    bin_path.mkdir()
    (bin_path / "ip").write_text('#!/bin/sh\nexec busybox ip "$@"\n')
    (bin_path / "ip").chmod(0o755)
    namespaces.create(guest)
    try:
        done = subprocess.run(
            ["nsenter", f"--net={guest}", "sh", "-c", "ip link add eth0 type veth peer name far; ip link set far up;"
             "ip link set eth0 up; ip addr add 192.0.2.9/24 dev eth0; ip addr add fe80::9/64 dev eth0 nodad;"
             f"PATH={bin_path}:$PATH interface=eth0 sh {_SCRIPT} deconfig; ip addr show dev eth0"],
            capture_output=True, text=True, check=True, timeout=60)
    finally:
        namespaces.remove(guest)
    assert "fe80::9/64" in done.stdout and "192.0.2.9" not in done.stdout, done.stdout + done.stderr
