"""Signed paths: an agent fetches an image's bytes with a path that names them, expires, and proves who made it.
Likewise it sends the bytes of one image that waits for them (a volume made an image).

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
UPLOAD_PATH = "/image/v2/uploads"
_PURPOSE = b"hostler image download, version 1"
_UPLOAD_PURPOSE = b"hostler image upload, version 1"


class UrlSigner:
    """Makes and checks signatures of (sha256, expiry), and for uploads of (image id, expiry)."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._directory = keys.directory_of(conf)

    def sign(self, sha256: str, expires_at: int) -> str:
        """Return path and query for the content, valid until `expires_at` (Unix time).

        Raises Unavailable when the cloud has no keys yet.
        """
        return self._sign(_PURPOSE, BLOB_PATH, sha256, expires_at)

    def verify(self, sha256: str, expires_at: int, signature: str) -> None:
        """Raise Forbidden unless the signature is ours and has not expired."""
        self._verify(_PURPOSE, sha256, expires_at, signature)

    def sign_upload(self, image_id: str, expires_at: int) -> str:
        """Return path and query to PUT an image's content to, valid until `expires_at`; raises as `sign`."""
        return self._sign(_UPLOAD_PURPOSE, UPLOAD_PATH, image_id, expires_at)

    def verify_upload(self, image_id: str, expires_at: int, signature: str) -> None:
        """Raise Forbidden unless the signature is ours, for this image, and has not expired."""
        self._verify(_UPLOAD_PURPOSE, image_id, expires_at, signature)

    def _sign(self, purpose: bytes, path: str, name: str, expires_at: int) -> str:
        query = urllib.parse.urlencode({"expires": expires_at,
                                        "signature": _signature(self._keys()[0], purpose, name, expires_at)})
        return f"{path}/{name}?{query}"

    def _verify(self, purpose: bytes, name: str, expires_at: int, signature: str) -> None:
        given = signature.encode()
        genuine = False
        for key in self._keys():
            genuine |= hmac.compare_digest(_signature(key, purpose, name, expires_at).encode(), given)
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


def _signature(key: bytes, purpose: bytes, name: str, expires_at: int) -> str:
    derived = hmac.digest(key, purpose, hashlib.sha256)
    return hmac.new(derived, f"{name} {expires_at}".encode(), hashlib.sha256).hexdigest()
