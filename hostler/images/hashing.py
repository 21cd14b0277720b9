"""The three digests of an image, computed side by side in one pass.

hashlib releases the interpreter's lock for large blocks, so the two slow digests run in threads while the caller's
thread computes the third and writes: the pass takes as long as the slowest digest.
"""

from __future__ import annotations

import dataclasses
import hashlib
from concurrent import futures

# Below this a hand-over to a thread costs more than the digest.
_WORTH_A_THREAD = 65536


@dataclasses.dataclass(frozen=True)
class Content:
    """What identifies the bytes of a file."""

    md5: str
    sha256: str
    sha512: str
    size_bytes: int


class Digests:
    """Running digests of one stream. The slow ones lag one block behind, while the next is fetched and written."""

    def __init__(self, pool: futures.Executor) -> None:
        self._pool = pool
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512()
        self._running: list[futures.Future[None]] = []
        self.size_bytes = 0

    def add(self, block: bytes) -> None:
        """Count `block` in; waits until the block before is in all digests, so memory for two is needed."""
        self.settle()
        self.size_bytes += len(block)
        if len(block) < _WORTH_A_THREAD:
            self._md5.update(block)
            self._sha512.update(block)
        else:
            self._running = [self._pool.submit(self._sha512.update, block), self._pool.submit(self._md5.update, block)]
        self._sha256.update(block)

    def settle(self) -> None:
        """Wait until the last block is in all digests."""
        running, self._running = self._running, []
        for future in running:
            future.result()

    def content(self) -> Content:
        """Return the digests of everything added."""
        self.settle()
        return Content(md5=self._md5.hexdigest(), sha256=self._sha256.hexdigest(), sha512=self._sha512.hexdigest(),
                       size_bytes=self.size_bytes)
