"""Who may open a guest's console on this host, and for how long.

The api asks for a console, and a proxy opens it later by presenting the grant: a path with the server, the protocol and
the expiry, signed together with the token by a key that never leaves the host. So the agent remembers nothing, grants
survive its restart, and neither a copy of the database (which holds paths and digests of tokens) nor another host's
certificate opens a console. The proxy sees to it that a token works only once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compute.virt.driver import Driver
from hostler import errors
from hostler.agent.files import write_atomically

# The proxy checks expiry by the database's clock, this host by its own.
_CLOCKS_DIFFER_S = 120


class Passes:
    """Signs grants and checks them when they are presented."""

    def __init__(self, key_file: Path) -> None:
        try:
            self._key = key_file.read_bytes()
        except FileNotFoundError:
            self._key = os.urandom(32)
            write_atomically(key_file, self._key, 0o600)

    def make(self, server_id: str, protocol: str, ttl_s: float) -> tuple[str, str]:
        """Return (token, path) for a console."""
        token = str(uuid.uuid4())
        granted = f"/{server_id}/{protocol}/{int(time.time() + ttl_s + _CLOCKS_DIFFER_S)}"
        return token, f"{granted}/{self._sign(granted, token)}"

    def check(self, path: str, token: str) -> tuple[str, str]:
        """Return (server id, protocol); raises Forbidden for a forged or expired grant."""
        granted, _, signature = path.rpartition("/")
        if not hmac.compare_digest(self._sign(granted, token).encode(), signature.encode()):
            raise errors.Forbidden(action="console")
        _, server_id, protocol, end = granted.split("/")
        if int(end) < time.time():
            raise errors.Forbidden(action="console")
        return server_id, protocol

    def _sign(self, granted: str, token: str) -> str:
        return hmac.new(self._key, f"{granted} {token}".encode(), hashlib.sha256).hexdigest()


class Consoles:
    """Grants consoles; called by the manager. `where` returns the relay's address and port."""

    def __init__(self, driver: Driver, passes: Passes, where: Callable[[], tuple[str, int]]) -> None:
        self._driver = driver
        self._passes = passes
        self._where = where

    def grant(self, server_id: str, protocol: str, ttl_s: float) -> dict[str, Any]:
        """Return {"token", "host", "port", "path"}; raises NotFound, Conflict (off), ConsoleUnavailable."""
        present = self._driver.list_consoles(server_id)
        if not present:
            raise errors.Conflict(reason=f"Instance {server_id} is not running.")
        if protocol not in present:
            raise errors.ConsoleUnavailable(type=protocol)
        token, path = self._passes.make(server_id, protocol, ttl_s)
        address, port = self._where()
        return {"token": token, "host": address, "port": port, "path": path}
