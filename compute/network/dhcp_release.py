"""Releases a lease on behalf of a guest that is gone: one DHCPRELEASE (RFC 2131, 4.4.6), which gets no answer."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct

_SERVER_PORT = 67
_BOOTREQUEST = 1
_ETHERNET = 1
_COOKIE = b"\x63\x82\x53\x63"
_MESSAGE_TYPE = b"\x35\x01\x07"
_SERVER_ID = b"\x36\x04"
_END = b"\xff"


def packet(mac: str, address: str, server_ip: str) -> bytes:
    """Return the message with which the guest with `mac` releases `address` to the server at `server_ip`."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBB4sHH4s4s4s4s16s64s128s", _BOOTREQUEST, _ETHERNET, len(hardware), 0, os.urandom(4), 0, 0,
                       ipaddress.IPv4Address(address).packed, b"", b"", b"", hardware, b"", b"")
    return head + _COOKIE + _MESSAGE_TYPE + _SERVER_ID + ipaddress.IPv4Address(server_ip).packed + _END


def send(mac: str, address: str, server_ip: str) -> None:
    """Send the message to a server in the calling thread's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(packet(mac, address, server_ip), (server_ip, _SERVER_PORT))
