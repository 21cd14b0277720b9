"""How operations name the agent they wait for: a compute agent by its host's name, a volume agent with a prefix,
since both may stand on one machine."""

from __future__ import annotations

_VOLUME = "volume@"


def volume_agent(node: str) -> str:
    """Return the name of a storage node's agent."""
    return _VOLUME + node
