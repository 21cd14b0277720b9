"""What a router tells the neighbours on its links about where its addresses are; run in its namespace.

Nothing of it may fail a change: neighbours ask again when what they remember grows old.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import struct
from typing import Final

LOG = logging.getLogger(__name__)

_ALL_NODES: Final = "ff02::1"
_ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 134, 135, 136  # RFC 4861, 4
# From a router, and in place of what neighbours know.
_OVERRIDE_BY_ROUTER: Final = 0xA000_0000
_SOURCE, _TARGET = 1, 2  # link-layer address options
_ICMPV6_FILTER = 1  # linux/icmpv6.h
# Hosts beside answer within milliseconds, or are not there.
_ANSWER_S: Final = 0.3


def announce(device: str, mac: str, address: str) -> None:
    """Tell the segment where an address now is, by a gratuitous ARP (RFC 5227) or an unsolicited neighbour
    advertisement (RFC 4861, 7.2.6)."""
    try:
        if ":" in address:
            with _socket(device) as raw:
                raw.sendto(_of_neighbour(_ADVERTISEMENT, _OVERRIDE_BY_ROUTER, address, _TARGET, _octets(mac)),
                           (_ALL_NODES, 0))
            return
        own, ip = _octets(mac), socket.inet_aton(address)
        frame = (b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + ip + bytes(6) + ip)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((device, 0))
            raw.send(frame.ljust(60, b"\0"))
    except OSError as failure:
        LOG.warning("Address %s could not be announced on %s: %s", address, device, failure)


def retract(device: str) -> None:
    """Tell guests by an advertisement without lifetime that the router is no longer a way out (RFC 4861, 6.2.5)."""
    try:
        with _socket(device) as raw:
            raw.sendto(struct.pack("!BBHBBHII", _ROUTER_ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0), (_ALL_NODES, 0))
    except OSError as failure:
        # It may speak no IPv6.
        LOG.debug("Guests on %s were not told that the router goes: %s", device, failure)


def hand_on(device: str, mac: str, address: str) -> None:
    """Tell the segment of another host that answers at an IPv6 address which this one has just given up.

    Else neighbours would send here until they ask again, which takes up to a minute. The other host is found by a
    question: what this one knows of others may be old.
    """
    try:
        with _socket(device) as raw:
            raw.settimeout(_ANSWER_S)
            raw.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, _passing(_ADVERTISEMENT))
            packed = socket.inet_pton(socket.AF_INET6, address)
            group = str(ipaddress.IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + packed[13:]))
            raw.sendto(_of_neighbour(_SOLICITATION, 0, address, _SOURCE, _octets(mac)), (group, 0))
            answer = b""
            while answer[8:24] != packed or len(answer) < 32 or answer[24] != _TARGET:
                answer = raw.recv(256)
            raw.sendto(_of_neighbour(_ADVERTISEMENT, _OVERRIDE_BY_ROUTER, address, _TARGET, answer[26:32]),
                       (_ALL_NODES, 0))
    except TimeoutError:
        LOG.debug("No other host answers at %s on %s", address, device)
    except OSError as failure:
        LOG.warning("Address %s on %s could not be handed on: %s", address, device, failure)


def _socket(device: str) -> socket.socket:
    """Return a socket for ICMPv6 on one link; the kernel fills checksums in."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    except OSError:
        raw.close()
        raise
    return raw


def _of_neighbour(kind: int, flags: int, address: str, option: int, mac: bytes) -> bytes:
    """Return a solicitation or an advertisement with a link-layer address, whose length counts in units of 8."""
    return (struct.pack("!BBHI", kind, 0, 0, flags) + socket.inet_pton(socket.AF_INET6, address)
            + bytes((option, 1)) + mac)


def _passing(kind: int) -> bytes:
    """Return a filter that lets one type of message pass: a set bit blocks (RFC 3542, 3.2)."""
    blocked = (1 << 256) - 1 ^ 1 << kind
    return struct.pack("=8I", *(blocked >> 32 * word & 0xFFFF_FFFF for word in range(8)))


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
