"""Back ends that fulfil the volume type's extra specs.

`volume_backend_name=fast` and other keys without a scope are held against the capability of that name, as are keys
of the scope `capabilities:`; a colon further on goes into a nested map. Other scopes speak to other parts. The
operators are those of `scheduler.matching`; a capability that is a list fulfils what any of its items does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState
from scheduler.matching import value_matches

_SCOPE = "capabilities"


class Capabilities:
    """Passes back ends that fulfil every extra spec that speaks of capabilities."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether each of them is fulfilled."""
        return all(_fulfils(backend.capabilities, path, wish) for path, wish in _wishes(request.extra_specs))


def _wishes(extra_specs: dict[str, Any]) -> list[tuple[list[str], Any]]:
    found = []
    for key, wish in extra_specs.items():
        path = key.split(":")
        if len(path) > 1 and path[0] != _SCOPE:
            continue
        found.append((path[1:] if len(path) > 1 else path, wish))
    return found


def _fulfils(capabilities: Any, path: list[str], wish: Any) -> bool:
    value = capabilities
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    if isinstance(value, list):
        return any(_matches(item, wish) for item in value)
    return _matches(value, wish)


def _matches(value: Any, wish: Any) -> bool:
    if isinstance(value, bool) and str(wish).lower() in ("true", "false"):
        return str(value).lower() == str(wish).lower()
    return value_matches(value, wish)
