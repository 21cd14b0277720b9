"""Names of a server's disks. The root disk is vda, whether it is a volume or not; the config drive is vdz.

A guest names its disks as it finds them; these names are what the cloud calls them, kept apart in one server.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from hostler import errors

ROOT: Final = "vda"
_CONFIG_DRIVE: Final = "vdz"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_NAME: Final = re.compile(r"(?:/dev/)?vd([a-z])")
MAXIMUM: Final = len(_LETTERS)


def local_names(*, ephemeral_gib: int, swap_mib: int) -> set[str]:
    """Return the names that local disks of a server occupy (see `compute.diskfile`)."""
    disks = bool(ephemeral_gib) + bool(swap_mib)
    return {ROOT, _CONFIG_DRIVE, *(f"vd{letter}" for letter in _LETTERS[1:1 + disks])}


def choose(wanted: str | None, used: Collection[str]) -> str:
    """Return a free name: the one `wanted` (with or without /dev/) when it is one of a virtio disk, else the next.

    Raises Conflict for one that is taken, Forbidden when all are.
    """
    match = _NAME.fullmatch(wanted or "")
    if match is not None:
        name = f"vd{match[1]}"
        if name in used:
            raise errors.Conflict(f"The supplied device path (/dev/{name}) is in use.", reason="device in use")
        return name
    for letter in _LETTERS:
        if f"vd{letter}" not in used:
            return f"vd{letter}"
    raise errors.Forbidden(f"The maximum allowed number of disk devices ({MAXIMUM}) to attach to a single instance "
                           "has been exceeded.", action="attach_volume")
