"""Opening consoles of a domain; each function takes a domain.

libvirt hands out a connected socket of a VNC or SPICE server, and a stream of a serial port, no matter who owns the
files behind them and where libvirtd has its mounts.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import libvirt
from lxml import etree

from compute.virt.libvirt.connection import KEEPALIVE_COUNT, KEEPALIVE_S

_CHUNK_BYTES = 16384
# libvirt keeps what a stream's reader does not take in this process's memory: a console that takes nothing is closed.
_STALLED_S = 10


def present(domain: libvirt.virDomain) -> frozenset[str]:
    """Return the protocols of a running guest's consoles; none when it is off."""
    if not domain.isActive():
        return frozenset()
    devices = etree.fromstring(domain.XMLDesc()).find("devices")
    found = {graphics.get("type") for graphics in devices.findall("graphics")}
    if devices.find("console") is not None:
        found.add("serial")
    return frozenset(found & {"vnc", "spice", "serial"})


def open_graphics(domain: libvirt.virDomain, protocol: str) -> socket.socket:
    """Return a connection to the guest's VNC or SPICE server."""
    kinds = [graphics.get("type") for graphics in etree.fromstring(domain.XMLDesc()).findall("devices/graphics")]
    return socket.socket(fileno=domain.openGraphicsFD(kinds.index(protocol)))


def open_serial(domain: libvirt.virDomain, uri: str) -> socket.socket:
    """Return a connection to the guest's serial port; an earlier user loses it, and the log continues.

    A connection to libvirt of its own carries it: a console that stalls must not hold up the agent's calls.
    """
    conn = libvirt.open(uri)
    conn.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT)
    stream = conn.newStream()
    conn.lookupByUUIDString(domain.UUIDString()).openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _STALLED_S, 0))
    for target in (_from_guest, _to_guest):
        threading.Thread(target=target, args=(stream, ours), name="serial-console", daemon=True).start()
    return theirs


def _from_guest(stream: libvirt.virStream, end: socket.socket) -> None:
    with contextlib.suppress(OSError, libvirt.libvirtError):
        while data := stream.recv(_CHUNK_BYTES):
            end.sendall(data)
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _to_guest(stream: libvirt.virStream, end: socket.socket) -> None:
    with contextlib.suppress(OSError, libvirt.libvirtError):
        while data := end.recv(_CHUNK_BYTES):
            while data:
                data = data[stream.send(data):]
    # Wakes the other thread, too.
    with contextlib.suppress(libvirt.libvirtError):
        stream.abort()
    end.close()
