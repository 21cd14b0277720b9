"""Taking a device out of a running guest, which lets go in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable

from compute.work import Work

# A guest that boots, or is busy, misses the request.
ASK_AGAIN_S = 10.0
POLL_S = (0.05, 1.0)  # first and longest pause between two looks


def unplug(work: Work, detach: Callable[[bool], bool], timeout_s: float) -> bool:
    """Call `detach(ask)` until it says that the device is out; False when the guest still has it after `timeout_s`.

    `ask` tells it to ask the guest (again) rather than only to look. Raises StaleAttempt.
    """
    deadline = time.monotonic() + timeout_s
    pause_s, longest_s = POLL_S
    ask_at = 0.0
    while True:
        work.check()
        ask = time.monotonic() >= ask_at
        if detach(ask):
            return True
        if ask:
            ask_at = time.monotonic() + ASK_AGAIN_S
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause_s, left))
        pause_s = min(pause_s * 2, longest_s)
