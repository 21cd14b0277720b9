"""How operations name the agent they wait for: a compute agent by its host's name, a volume agent with a prefix,
since both may run on one machine.

Copies take minutes, so they have a name, and with it slots, of their own: they must not hold up what is short.
"""

from __future__ import annotations

_VOLUME = "volume@"
_COPIES = "/copies"


def compute_agent(host: str, *, copying: bool = False) -> str:
    """Return the name of a host's agent, for short calls or for copies."""
    return host + (_COPIES if copying else "")


def volume_agent(node: str, *, copying: bool = False) -> str:
    """Return the name of a storage node's agent, for short calls or for copies."""
    return _VOLUME + node + (_COPIES if copying else "")
