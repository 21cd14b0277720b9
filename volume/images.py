"""Images that volumes are made from: fetched once, inspected, and passed to the driver as content.

A file that is not what it claims to be, or that names other files, never reaches QEMU's tools, however it came here.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hostler import errors
from hostler.images import inspect
from hostler.images.cache import Images
from hostler.resources.server.specs import ImageSpec
from volume.drivers.driver import DiskSource

GIB = 1024**3


class ImageContents:
    """Hands out the contents of images."""

    def __init__(self, cache: Images) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._in_use: Counter[str] = Counter()

    @contextlib.contextmanager
    def content(self, image: ImageSpec, size_gib: int) -> Iterator[DiskSource]:
        """Hold an image's content for a volume of `size_gib`; raises AgentError when it cannot be had or used."""
        with self._using(image.sha256):
            path = self._cache.fetch(image)
            try:
                virtual_bytes = inspect.check_file(path, image.id, image.disk_format)
            except errors.UnsupportedImage as error:
                raise errors.AgentError(reason=str(error)) from error
            if virtual_bytes > size_gib * GIB:
                raise errors.AgentError(reason=f"The disk in image {image.id} has {virtual_bytes} bytes and does not "
                                               f"fit a volume of {size_gib} GiB.")
            options: dict[str, Any] = {"driver": image.disk_format, "file": {
                "driver": "file", "filename": str(path)}}
            if image.disk_format == "qcow2":
                options["backing"] = None  # checked above; and never opened, even so
            yield DiskSource(options, virtual_bytes)

    def trim(self) -> None:
        """Remove images that nobody uses and that are too many."""
        with self._lock:
            used = set(self._in_use)
        self._cache.trim(used)

    @contextlib.contextmanager
    def _using(self, sha256: str) -> Iterator[None]:
        with self._lock:
            self._in_use[sha256] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[sha256] -= 1
                self._in_use += Counter()  # drops what nobody uses any more
