"""The directories of file back ends that this host sees, by the identity in each one's marker file.

The volume agent writes the marker; a host that has the directory, too (one machine, or a network file system mounted
wherever), finds it by its marker and so opens volumes as files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hostler import ids

MARKER = ".hostler-share"


def find_shares(directories: Sequence[Path]) -> dict[str, Path]:
    """Return the directories that carry a readable marker, by identity."""
    found = {}
    for directory in directories:
        try:
            identity = ids.canonical((directory / MARKER).read_text().strip())
        except OSError:
            continue  # not mounted, or not (yet) a back end's
        if identity is not None:
            found[identity] = directory
    return found


def directories_of(configured: Sequence[str], default: Path) -> list[Path]:
    """Return where to look: what is configured, else everything in `default`."""
    if configured:
        return [Path(text) for text in configured]
    try:
        return sorted(path for path in default.iterdir() if path.is_dir())
    except OSError:
        return []
