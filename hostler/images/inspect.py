"""Looking into image data before it is used: is it what it claims to be, and does it stay within itself?

A disk image may name other files (a backing file, an external data file, extents) that the hypervisor's host would
open on its behalf, so what is inside decides, not what the uploader says. Refused are: content of another format than
claimed, content that fits several formats at once, anything that reaches outside itself, and features nobody knows.
oslo.utils' inspectors read the formats; what is allowed is decided here. Blocks are looked at while they stream by.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from hostler import errors

LOG = logging.getLogger(__name__)

# Which content each claimed disk format may have. A disk with a partition table is still a raw disk; a bootable CD
# image carries one too; kernels and ramdisks are plain bytes to us.
_PLAIN = (frozenset({"raw"}), frozenset({"gpt"}))
_ACCEPTED: dict[str, tuple[frozenset[str], ...]] = {
    "raw": _PLAIN, "aki": _PLAIN, "ari": _PLAIN, "ami": _PLAIN, "ploop": _PLAIN,
    "iso": (frozenset({"iso"}), frozenset({"iso", "gpt"})),
    **{name: (frozenset({name}),) for name in ("qcow2", "vhd", "vhdx", "vmdk", "vdi")},
}
DISK_FORMATS = tuple(sorted(_ACCEPTED))
CONTAINER_FORMATS = ("aki", "ami", "ari", "bare", "compressed", "docker", "ova", "ovf")
# Containers whose outer file need not be the disk itself, so that nothing can be booted from it as it is.
WRAPPED = frozenset({"compressed", "docker", "ova", "ovf"})
# Largest that fits the database and every hypervisor.
_MAX_VIRTUAL_BYTES = (1 << 63) - 1
_BLOCK_BYTES = 1 << 20


class Inspection:
    """One image's data on its way into the store.

    In a container of `WRAPPED` the outer file need not be the disk format claimed, but must be safe and of usable
    size all the same. `max_virtual_bytes` bounds the disk inside, as its header tells it.
    """

    def __init__(self, image_id: str, disk_format: str, container_format: str,
                 max_virtual_bytes: int = _MAX_VIRTUAL_BYTES) -> None:
        self._image_id = image_id
        self._claimed = disk_format
        self._must_match = container_format not in WRAPPED
        self._max_virtual_bytes = max_virtual_bytes
        self._source = _Current()  # the wrapper pulls; we push one block at a time through this
        self._wrapper = format_inspector.InspectWrapper(self._source)  # type: ignore[arg-type]
        self._decided = False
        self._virtual_bytes: int | None = None

    def watch(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield `blocks`, raising UnsupportedImage as soon as they cannot be accepted, at the latest at their end."""
        for block in blocks:
            if not self._decided:
                self._source.block = block
                self._wrapper.read(len(block))
                if self._wrapper.formats is not None:
                    self._decide()
            yield block
        if not self._decided:
            self._wrapper.close()
            self._decide()

    @property
    def decided(self) -> bool:
        """Whether the blocks seen were enough to accept all of it."""
        return self._decided

    def virtual_size(self, size_bytes: int) -> int:
        """Return the size of the disk inside, in bytes; `size_bytes` is the size of the data."""
        return size_bytes if self._virtual_bytes is None else self._virtual_bytes

    def _decide(self) -> None:
        self._decided = True
        found = self._wrapper.formats or []
        names = frozenset(str(inspector) for inspector in found)
        if self._must_match and names not in _ACCEPTED.get(self._claimed, ()):
            raise self._refusal(f"its content is {' and '.join(sorted(names))}, not {self._claimed} as claimed")
        for inspector in found:
            self._check_safety(inspector)
        inner = next((item for item in found if str(item) not in ("raw", "gpt")), None)
        if inner is not None:
            self._virtual_bytes = self._virtual_size_of(inner)

    def _check_safety(self, inspector: format_inspector.FileInspector) -> None:
        try:
            inspector.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            reasons = "; ".join(str(reason) for reason in error.failures.values())
            if str(inspector) == "gpt":
                # An odd partition table can only confuse the guest that brought it.
                LOG.info("image %s: unusual partition table (%s)", self._image_id, reasons)
                return
            raise self._refusal(reasons) from error
        except Exception as error:  # parsers of hostile bytes fail in any way
            raise self._refusal(f"its {inspector} header cannot be read") from error

    def _virtual_size_of(self, inspector: format_inspector.FileInspector) -> int:
        try:
            size = inspector.virtual_size
        except Exception as error:  # as above: to fail is to refuse
            raise self._refusal(f"its {inspector} header cannot be read") from error
        if not 0 < size <= _MAX_VIRTUAL_BYTES:
            raise self._refusal(f"its {inspector} header tells no usable disk size")
        if size > self._max_virtual_bytes:
            raise self._refusal(f"its disk has {size} bytes, at most {self._max_virtual_bytes} are accepted")
        return size

    def _refusal(self, reason: str) -> errors.UnsupportedImage:
        return errors.UnsupportedImage(id=self._image_id, reason=reason)


def check_file(path: Path, image_id: str, disk_format: str) -> int:
    """Return the size in bytes of the disk in a file that claims to be a `disk_format`; raises UnsupportedImage.

    Called before a file is given to a hypervisor's tools, whatever was checked when it came into the cloud.
    """
    inspection = Inspection(image_id, disk_format, "bare")
    with path.open("rb") as file:
        for _ in inspection.watch(iter(lambda: file.read(_BLOCK_BYTES), b"")):
            if inspection.decided:
                break
        return inspection.virtual_size(os.fstat(file.fileno()).st_size)


class _Current:
    """The one block the inspectors are to see next, in the shape of a file."""

    block = b""

    def read(self, _size: int) -> bytes:
        """Return the block."""
        return self.block
