"""When a flow tries again elsewhere."""

from __future__ import annotations

from typing import Any

from taskflow import retry

from hostler import errors


class AnotherPlace(retry.Times):
    """Try again on another host or back end when one failed; not when there was none, or when asked to stop."""

    def on_failure(self, history: Any, *args: Any, **kwargs: Any) -> str:
        """Return TaskFlow's decision."""
        last = [failure for _, failures in list(history)[-1:] for failure in failures.values()]
        if not any(failure.check(errors.AgentError) for failure in last):
            return str(retry.REVERT_ALL)
        return str(super().on_failure(history, *args, **kwargs))
