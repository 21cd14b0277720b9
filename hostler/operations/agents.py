"""How operations name the agent they wait for: a compute agent by its host's name, a volume agent with a prefix,
since both may run on one machine.

Copies on a storage node take minutes, so they have a name, and with it slots, of their own: they must not hold up the
attachments there.
"""

from __future__ import annotations

_VOLUME = "volume@"
_COPIES = "/copies"


def volume_agent(node: str, *, copying: bool = False) -> str:
    """Return the name of a storage node's agent, for short calls or for copies."""
    return _VOLUME + node + (_COPIES if copying else "")
