"""Whom an export lets in: one host, known by its certificate; everybody only where the operator said so.

The node shows its server certificate and asks for the host's; both must come from the same authority. QEMU then
compares the whole subject of the host's certificate with the one the export is for.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hostler import clock, errors, pki

LOG = logging.getLogger(__name__)
T = TypeVar("T")
_FILES = ("ca-cert.pem", "server-cert.pem", "server-key.pem")


class Credentials:
    """The node's certificates, read for each export, so a renewed certificate takes effect with the next one."""

    def __init__(self, directory: Path | None, subject: str, *, insecure: bool) -> None:
        self._directory = directory
        self._subject = subject
        self._insecure = insecure

    def applies(self, host: str, has_certificate: bool) -> bool:
        """Tell whether an export for `host` is encrypted; raises AgentError when it may not be exported at all."""
        if self._directory is not None and has_certificate:
            return True
        if self._insecure:
            return False
        if self._directory is None:
            raise errors.AgentError(
                reason="This storage node exports nothing to other hosts: its operator must set [volume] tls_dir (see "
                       "hostler-manage pki) or, on a closed network, [volume] insecure_exports.")
        raise errors.AgentError(
            reason="The server's host has no certificate for volumes over NBD: its operator must give it one.",
            details=f"Host {host} has no certificate for volumes over NBD: its operator must give it one "
                   "(hostler-manage pki issue) or, on a closed network, set [volume] insecure_exports on the storage "
                   "nodes.")

    def check(self) -> None:
        """Raise AgentError when a file of the node's is missing; what runs out soon goes to the log."""
        if self._directory is None:
            return
        missing = [name for name in _FILES if not (self._directory / name).is_file()]
        if missing:
            raise errors.AgentError(reason=f"[volume] tls_dir {self._directory} has no {', '.join(missing)}; make them "
                                           "with hostler-manage pki issue.")
        for name in _FILES[:2]:
            end = self._read(pki.read_end, name)
            if end - clock.utcnow() < dt.timedelta(days=pki.RENEW_DAYS):
                LOG.warning("%s runs out on %s; make a new one with hostler-manage pki", self._directory / name,
                            f"{end:%F}")

    def server_name(self) -> str:
        """Return the name that hosts must find in this node's certificate. Raises AgentError."""
        return self._read(pki.read_common_name, "server-cert.pem")

    def options(self, host: str) -> list[str]:
        """Return the qemu-nbd arguments that admit only `host`. Raises AgentError when that cannot work."""
        try:
            pki.check_name(host)  # nothing that has a meaning inside a subject gets into it
        except errors.Invalid as error:
            raise errors.AgentError(reason=str(error)) from error
        for name in _FILES[:2]:
            end = self._read(pki.read_end, name)
            if end <= clock.utcnow():
                raise errors.AgentError(reason=f"The storage node's {name} ran out on {end:%F}: its operator must make "
                                               "a new one (hostler-manage pki).")
        own = {"qom-type": "tls-creds-x509", "id": "tls0", "dir": str(self._directory), "endpoint": "server",
               "verify-peer": True}
        only = {"qom-type": "authz-simple", "id": "authz0", "identity": self._subject.replace("{host}", host)}
        return ["--object", json.dumps(own), "--object", json.dumps(only), "--tls-creds=tls0", "--tls-authz=authz0"]

    def _read(self, what: Callable[[Path], T], name: str) -> T:
        if self._directory is None:
            raise errors.AgentError(reason="The storage node has no certificates any more: its operator must set "
                                           "[volume] tls_dir.")
        try:
            return what(self._directory / name)
        except errors.Invalid as error:
            LOG.error("%s", error)
            raise errors.AgentError(reason=f"The storage node's {name} cannot be read; its log says why.") from error
