"""A DHCPv6 client for guests that are namespaces: one question, one answer (RFC 8415)."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator

from compute.network import namespaces
from tests.harness.network_lab import Guest, wait_for

_SOLICIT, _REPLY, _INFORMATION_REQUEST = 1, 7, 11
_CLIENT_ID, _IA_NA, _ADDRESS, _WANTED, _ELAPSED, _RAPID, _DNS = 1, 3, 5, 6, 8, 14, 23


@dataclasses.dataclass(frozen=True)
class Lease:
    """What a server answered: None when it gives no address."""

    address: str | None
    dns: tuple[str, ...] = ()


def ask(guest: Guest, *, address: bool = True, duid: bytes = b"", tries: int = 10) -> Lease | None:
    """Ask for an address, or for options alone; None when nobody answers `tries` questions, a second each."""
    link_layer = b"\0\3\0\1" + bytes.fromhex(guest.port.mac_address.replace(":", ""))
    return namespaces.run_inside(guest.path, lambda: _ask(duid or link_layer, address, tries))


def _has_link_local() -> bool:
    """Return whether eth0 may send from its link-local address: nobody else has it, as far as is known."""
    done = subprocess.run(["ip", "-j", "-6", "address", "show", "dev", "eth0", "scope", "link"], capture_output=True,
                          text=True, check=True)
    return any("local" in one and not one.get("tentative") and not one.get("dadfailed")
               for link in json.loads(done.stdout) for one in link.get("addr_info", ()))


def _ask(duid: bytes, address: bool, tries: int) -> Lease | None:
    assert wait_for(_has_link_local, 60)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.bind(("::", 546))
        client.settimeout(0.2)
        for _ in range(tries):
            number = os.urandom(3)
            question = bytes([_SOLICIT if address else _INFORMATION_REQUEST]) + number + _option(_CLIENT_ID, duid)
            question += _option(_ELAPSED, bytes(2)) + _option(_WANTED, struct.pack("!H", _DNS))
            if address:
                question += _option(_RAPID, b"") + _option(_IA_NA, struct.pack("!III", 7, 0, 0))
            client.sendto(question, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    answer = client.recv(2000)
                except TimeoutError:
                    continue
                if answer[:1] == bytes([_REPLY]) and answer[1:4] == number:
                    return _read(answer[4:])
    return None


def _read(options: bytes) -> Lease:
    address, dns = None, ()
    for code, value in _options(options):
        if code == _DNS:
            dns = tuple(str(ipaddress.IPv6Address(value[at:at + 16])) for at in range(0, len(value), 16))
        for inner, held in _options(value[12:]) if code == _IA_NA else ():
            if inner == _ADDRESS:
                address = str(ipaddress.IPv6Address(held[:16]))
    return Lease(address, dns)


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        code, length = struct.unpack("!HH", data[:4])
        yield code, data[4:4 + length]
        data = data[4 + length:]


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value
