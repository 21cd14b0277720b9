"""Consoles of fake guests: each greets as a real one would and then repeats what it is sent."""

from __future__ import annotations

import contextlib
import socket
import threading

GREETINGS = {"vnc": b"RFB 003.008\n", "serial": b"fake guest login: "}


def open_console(protocol: str) -> socket.socket:
    """Return a connection to a new console."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_serve, args=(ours, GREETINGS[protocol]), name="fake-console", daemon=True).start()
    return theirs


def _serve(end: socket.socket, greeting: bytes) -> None:
    with end, contextlib.suppress(OSError):
        end.sendall(greeting)
        while data := end.recv(4096):
            end.sendall(data)
