"""A WebSocket client for consoles, as a program would be written; it knows nothing of websockify."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
import time
from urllib.parse import urlsplit


class Refused(Exception):
    """The server did not accept the WebSocket; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Closed(Exception):
    """The server ended the connection."""


class WebSocket:
    """One connection; `read` returns bytes of messages as a stream."""

    def __init__(self, url: str, *, origin: str | None = None, context: ssl.SSLContext | None = None,
                 timeout_s: float = 20) -> None:
        parts = urlsplit(url)
        secure = parts.scheme in ("wss", "https")
        port = parts.port or (443 if secure else 80)
        self._socket = socket.create_connection((parts.hostname, port), timeout=timeout_s)
        if secure:
            assert context is not None
            self._socket = context.wrap_socket(self._socket, server_hostname=parts.hostname)
        self._waiting = b""
        self._received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        headers = {"Host": f"{parts.hostname}:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                   "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "binary",
                   **({"Origin": origin} if origin else {})}
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._socket.sendall((f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value
                                                                  in headers.items()) + "\r\n").encode())
        while b"\r\n\r\n" not in self._waiting:
            self._fill()
        head, self._waiting = self._waiting.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        if status != 101:
            self.close()
            raise Refused(status)

    def send(self, data: bytes) -> None:
        """Send one binary message."""
        self._send(0x2, data)

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._send(0x1, text.encode())

    def read_message(self) -> bytes:
        """Return one whole message; not to be mixed with the other ways to read. Raises Closed, TimeoutError."""
        while not self._take_frame():
            pass
        message, self._received = self._received, b""
        return message

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes; raises Closed, TimeoutError."""
        while len(self._received) < count:
            self._take_frame()
        data, self._received = self._received[:count], self._received[count:]
        return data

    def read_until(self, text: bytes, timeout_s: float = 60) -> bytes:
        """Return what comes up to and with `text`."""
        end = time.monotonic() + timeout_s
        while text not in self._received:
            if time.monotonic() > end:
                raise TimeoutError(f"no {text!r} in {self._received[-2000:]!r}")
            self._take_frame()
        before, _, self._received = self._received.partition(text)
        return before + text

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _take_frame(self) -> bool:
        """Take one frame; returns whether it ended a message."""
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            [size] = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            [size] = struct.unpack(">Q", self._exactly(8))
        data = self._exactly(size)
        kind = first & 0xF
        if kind == 0x8:
            raise Closed(data)
        if kind == 0x9:
            self._send(0xA, data)
        elif kind in (0x0, 0x1, 0x2):
            self._received += data
            return bool(first & 0x80)
        return False

    def _exactly(self, count: int) -> bytes:
        while len(self._waiting) < count:
            self._fill()
        data, self._waiting = self._waiting[:count], self._waiting[count:]
        return data

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise Closed("without a word")
        self._waiting += data

    def _send(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = len(data)
        length = (struct.pack(">B", 0x80 | size) if size < 126 else struct.pack(">BH", 0x80 | 126, size)
                  if size < 65536 else struct.pack(">BQ", 0x80 | 127, size))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self._socket.sendall(bytes([0x80 | kind]) + length + mask + masked)
