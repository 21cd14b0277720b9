"""How operations name the agent they wait for: a compute agent by its host's name, a volume agent with a prefix,
since both may stand on one machine.

What copies on a storage node waits for minutes, so it has a name, and with it places, of its own: it must not hold up
the attachments there.
"""

from __future__ import annotations

_VOLUME = "volume@"
_COPIES = "/copies"


def volume_agent(node: str, *, copying: bool = False) -> str:
    """Return the name of a storage node's agent, for what is short there or for what copies."""
    return _VOLUME + node + (_COPIES if copying else "")
