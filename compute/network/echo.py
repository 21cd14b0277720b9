"""ICMP echo requests to other hosts (RFC 792), many at a time by one socket that never waits."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import struct
from typing import Final

LOG = logging.getLogger(__name__)
_REPLY, _REQUEST = 0, 8
_FILTER: Final = 1  # ICMP_FILTER of SOL_RAW, raw(7): a bit for each type that is not wanted
_SOL_RAW: Final = 255


class IcmpEcho:
    """See `compute.leader_watch.Echo`. Used by one thread.

    The socket that users may open (SOCK_DGRAM) is often forbidden to root by `ping_group_range`; so it is a raw one,
    which gets every echo reply of the host, and takes those with its own identifier.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._identifier = secrets.randbelow(1 << 16)
        self._number = 0

    def send(self, address: str) -> None:
        """Send a request; an unreachable network counts as no answer."""
        self._number = (self._number + 1) % (1 << 16)
        head = struct.pack("!BBHHH", _REQUEST, 0, 0, self._identifier, self._number)
        message = struct.pack("!BBHHH", _REQUEST, 0, _checksum(head), self._identifier, self._number)
        try:
            self._open().sendto(message, (address, 0))
        except OSError as failure:
            LOG.debug("No echo request could be sent to %s: %s", address, failure)

    def answered(self) -> set[str]:
        """Return the addresses that answered since this was called last."""
        found: set[str] = set()
        if self._socket is None:
            return found
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    packet, (sender, _) = self._socket.recvfrom(256)
                except ConnectionError:
                    continue
                start = (packet[0] & 15) * 4
                kind, _, _, identifier = struct.unpack_from("!BBHH", packet, start)
                if kind == _REPLY and identifier == self._identifier:
                    found.add(sender)
        return found

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            made.setsockopt(_SOL_RAW, _FILTER, struct.pack("I", 0xFFFFFFFF & ~(1 << _REPLY)))
            made.setblocking(False)
            self._socket = made
        return self._socket


def _checksum(message: bytes) -> int:
    """Return the Internet checksum (RFC 1071) of a message of even length."""
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
