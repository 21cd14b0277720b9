"""Several things done at the same time, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def at_once(*actions: Callable[[], object]) -> None:
    """Call each, at the same time; raises what one raised."""
    with ThreadPoolExecutor(len(actions) or 1) as pool:
        for result in [pool.submit(action) for action in actions]:
            result.result()
