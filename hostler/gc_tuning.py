"""When Python's garbage collector runs.

A page of a thousand servers makes tens of thousands of containers, all of them live; with the default thresholds the
collector walks the whole heap of modules and mappings several times for it (measured: 45 of 105 CPU ms). What was
loaded at start lives as long as the process, so it is frozen, and the collector runs less often.
"""

from __future__ import annotations

import gc

# Containers made before the youngest are looked at; young and middle rounds before the next elder one.
_THRESHOLDS = (50_000, 20, 50)


def calm() -> None:
    """Stop walking what is loaded now, and collect less often; call once per process, when it is built."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
