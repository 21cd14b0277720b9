"""The console log of a server: its last lines, kept across reboots, cut to a size.

The hypervisor appends to `console.log` for as long as the guest runs. `cut` moves the older half to `console.log.0`
(where libvirt's log daemon also puts what it rotates) and empties the log in place; the writer appends, so it continues
at the new end.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

LOG = logging.getLogger(__name__)
MAX_ANSWER_BYTES = 512 * 1024  # what one message on the bus should carry at most


def older(log: Path) -> Path:
    """Return the path of the previous part of `log`."""
    return log.with_name(f"{log.name}.0")


def read_tail(log: Path, lines: int | None = None) -> str:
    """Return the last `lines` lines (None or negative: as much as one answer may hold); '' when there is no log."""
    if lines == 0:
        return ""
    content = _tail_bytes(log, MAX_ANSWER_BYTES)
    if len(content) < MAX_ANSWER_BYTES:
        content = _tail_bytes(older(log), MAX_ANSWER_BYTES - len(content)) + content
    text = content.decode(errors="replace").replace("\r\n", "\n")
    if lines is None or lines < 0:
        return text
    # As the reference counts: what follows the last newline is a line, also when it is empty.
    return "\n".join(text.split("\n")[-lines:])


def cut(log: Path, max_bytes: int) -> bool:
    """Keep about the last half of `max_bytes` when the log is larger than that; returns whether it was cut."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return False
    if size <= max_bytes // 2:
        return False
    kept = _tail_bytes(log, max_bytes // 2)
    temporary = log.with_name(f"{log.name}.cut")
    temporary.write_bytes(kept)
    temporary.chmod(0o600)
    temporary.replace(older(log))
    # What the guest writes between the read and the truncation is lost: a few lines of a log that overflows anyway.
    os.truncate(log, 0)
    LOG.debug("Console log %s cut from %d bytes", log, size)
    return True


def _tail_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - count))
            return stream.read(count)
    except FileNotFoundError:
        return b""
