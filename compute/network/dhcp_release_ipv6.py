"""Releases an IPv6 lease on behalf of a guest that is gone: one RELEASE (RFC 8415, 18.2.7). The reply is ignored."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import struct

LOG = logging.getLogger(__name__)

_SERVERS = "ff02::1:2"
_SERVER_PORT = 547
_RELEASE = 8
_CLIENT_ID, _SERVER_ID, _IA_NA, _ADDRESS, _ELAPSED = 1, 2, 3, 5, 8


def packet(server_duid: str, client_duid: str, iaid: int, address: str) -> bytes:
    """Return the message; DUIDs are hexadecimal with colons, as dnsmasq keeps them."""
    held = _option(_ADDRESS, ipaddress.IPv6Address(address).packed + bytes(8))
    return (bytes([_RELEASE]) + os.urandom(3) + _option(_CLIENT_ID, _duid(client_duid))
            + _option(_SERVER_ID, _duid(server_duid)) + _option(_ELAPSED, bytes(2))
            + _option(_IA_NA, struct.pack("!III", iaid, 0, 0) + held))


def send(interface: str, server_duid: str, client_duid: str, iaid: str, address: str) -> None:
    """Send the message to the server on `interface` of the calling thread's network namespace."""
    message = packet(server_duid, client_duid, int(iaid.lstrip("T")), address)
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, (_SERVERS, _SERVER_PORT, 0, socket.if_nametoindex(interface)))
    except OSError as failure:
        # The lease then ends by itself; until it does, only its address is blocked.
        LOG.warning("The lease of %s on %s was not released: %s", address, interface, failure)


def _duid(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value
