"""Signed paths: an agent fetches an image's bytes with a path that names them, expires, and proves who made it.

The key is derived from the Fernet keys that all api and conductor processes of a cloud share, so any of them verifies
what another signed. Every key of the directory verifies (rotation must not break a download that is under way), the
primary (highest number) signs. Refuses expired and foreign signatures alike, without saying which it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
import urllib.parse

from oslo_config import cfg

from hostler import errors
from hostler.identity import keys

BLOB_PATH = "/image/blobs"
_PURPOSE = b"hostler image download, version 1"


class UrlSigner:
    """Makes and checks signatures of (sha256, expiry)."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._directory = keys.directory_of(conf)

    def sign(self, sha256: str, expires_at: int) -> str:
        """Return path and query for the content, valid until `expires_at` (Unix time).

        Raises Unavailable when the cloud has no keys yet.
        """
        query = urllib.parse.urlencode({"expires": expires_at,
                                        "signature": _signature(self._keys()[0], sha256, expires_at)})
        return f"{BLOB_PATH}/{sha256}?{query}"

    def verify(self, sha256: str, expires_at: int, signature: str) -> None:
        """Raise Forbidden unless the signature is ours and has not expired."""
        given = signature.encode()
        genuine = False
        for key in self._keys():
            genuine |= hmac.compare_digest(_signature(key, sha256, expires_at).encode(), given)
        if not genuine or expires_at < time.time():
            raise errors.Forbidden("The signature is not valid.")

    def _keys(self) -> list[bytes]:
        """Return the keys, the signing one first; read each time, so that a rotation is seen by running processes."""
        numbered: list[tuple[int, bytes]] = []
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                with contextlib.suppress(FileNotFoundError):  # a rotation just dropped it
                    if path.name.isdigit():
                        numbered.append((int(path.name), path.read_bytes().strip()))
        if not numbered:
            raise errors.Unavailable(part="The key directory")
        return [key for _, key in sorted(numbered, reverse=True)]


def _signature(key: bytes, sha256: str, expires_at: int) -> str:
    derived = hmac.digest(key, _PURPOSE, hashlib.sha256)
    return hmac.new(derived, f"{sha256} {expires_at}".encode(), hashlib.sha256).hexdigest()
