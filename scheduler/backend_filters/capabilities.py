"""Back ends that fulfil the volume type's extra specs.

`volume_backend_name=fast` and other keys without a scope are compared with the capability of that name, as are keys
of the scope `capabilities:`; a colon further on goes into a nested map. Other scopes are for other parts. The
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
    """Passes back ends that fulfil every extra spec about capabilities."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether each of them is fulfilled."""
        return all(_fulfils(backend.capabilities, path, wanted) for path, wanted in _requirements(request.extra_specs))


def _requirements(extra_specs: dict[str, Any]) -> list[tuple[list[str], Any]]:
    found = []
    for key, wanted in extra_specs.items():
        path = key.split(":")
        if len(path) > 1 and path[0] != _SCOPE:
            continue
        found.append((path[1:] if len(path) > 1 else path, wanted))
    return found


def _fulfils(capabilities: Any, path: list[str], wanted: Any) -> bool:
    value = capabilities
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    if isinstance(value, list):
        return any(_matches(item, wanted) for item in value)
    return _matches(value, wanted)


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) and str(wanted).lower() in ("true", "false"):
        return str(value).lower() == str(wanted).lower()
    return value_matches(value, wanted)
