"""In which states the reference takes each action on a server, written down from its sources.

From the `check_instance_state`, `check_instance_lock` and `check_instance_host` decorators of nova's `compute/api.py`,
the decorators of its API controllers (codes and microversions), and the preconditions of its API reference. Nothing
here is read from our own table of operation kinds: `tests/functional/test_every_action_in_every_state.py` compares the
two. The documents' table of actions is written from this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Final

BUILDING: Final = "building"
ACTIVE: Final = "active"
STOPPED: Final = "stopped"
PAUSED: Final = "paused"
SUSPENDED: Final = "suspended"
RESCUED: Final = "rescued"
RESIZED: Final = "resized"
SHELVED: Final = "shelved"
OFFLOADED: Final = "shelved_offloaded"
SOFT_DELETED: Final = "soft-delete"
ERROR: Final = "error"

EVERY: Final = (BUILDING, ACTIVE, STOPPED, PAUSED, SUSPENDED, RESCUED, RESIZED, SHELVED, OFFLOADED, SOFT_DELETED, ERROR)
ON_A_HOST: Final = tuple(state for state in EVERY if state not in (BUILDING, OFFLOADED))
_SNAPSHOT: Final = (ACTIVE, STOPPED, PAUSED, SUSPENDED)
_RUNS_OR_IS_OFF: Final = (ACTIVE, STOPPED)
_REPAIRED: Final = (ACTIVE, STOPPED, ERROR)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One action: the states it starts from, and what it answers there.

    `held`: also while another operation works on the server (the reference: `task_state=None`, or no check at all).
    `locked`: the owner may do it to a locked server. `admin`: the default policy keeps it to administrators.
    `refused`: the argument is one that the reference refuses with `answer` in those states.
    """

    states: Collection[str]
    argument: Any = None
    answer: int = 202
    held: bool = False
    locked: bool = False
    admin: bool = False
    refused: bool = False
    first: str = "2.1"
    last: str | None = None


def _console(kind: str) -> Published:
    return Published(states=ON_A_HOST, argument={"type": kind}, answer=200, held=True, locked=True, last="2.5")


ACTIONS: Final[Mapping[str, Published]] = {
    "addFixedIp": Published(states=EVERY, argument={"networkId": "NETWORK"}, held=True, admin=False, last="2.43"),
    # Of an address that the project does not have: 404 in every state.
    "addFloatingIp": Published(states=EVERY, argument={"address": "10.9.9.9"}, answer=404, refused=True, held=True,
                              locked=True, last="2.43"),
    "addSecurityGroup": Published(states=EVERY, argument={"name": "default"}, held=True, locked=True),
    "changePassword": Published(states=(ACTIVE,), argument={"adminPass": "secret"}),
    "confirmResize": Published(states=(RESIZED,), answer=204),
    "createBackup": Published(states=_SNAPSHOT, argument={"name": "b", "backup_type": "daily", "rotation": 1},
                              locked=True),
    "createImage": Published(states=_SNAPSHOT, argument={"name": "i"}, locked=True),
    "evacuate": Published(states=_REPAIRED, argument={}, answer=200, held=True, locked=True, admin=True),
    "forceDelete": Published(states=EVERY, held=True),
    "injectNetworkInfo": Published(states=EVERY, held=True, admin=True),
    "lock": Published(states=EVERY, held=True, locked=True),
    "migrate": Published(states=_RUNS_OR_IS_OFF, admin=True),
    "os-getConsoleOutput": Published(states=ON_A_HOST, argument={}, answer=200, held=True, locked=True),
    "os-getRDPConsole": _console("rdp-html5"),
    "os-getSPICEConsole": _console("spice-html5"),
    "os-getSerialConsole": _console("serial"),
    "os-getVNCConsole": _console("novnc"),
    "os-migrateLive": Published(states=(ACTIVE, PAUSED), argument={"host": None, "block_migration": "auto"},
                                admin=True),
    "os-resetState": Published(states=EVERY, argument={"state": "active"}, held=True, locked=True, admin=True),
    "os-start": Published(states=(STOPPED,)),
    "os-stop": Published(states=(ACTIVE, ERROR)),
    "pause": Published(states=(ACTIVE,)),
    "reboot": Published(states=(ACTIVE,), argument={"type": "SOFT"}),
    "reboot HARD": Published(states=(ACTIVE, STOPPED, PAUSED, SUSPENDED, ERROR), argument={"type": "HARD"}),
    "rebuild": Published(states=_REPAIRED, argument={"imageRef": "IMAGE"}),
    "removeFixedIp": Published(states=EVERY, argument={"address": "ADDRESS"}, held=True, last="2.43"),
    "removeFloatingIp": Published(states=EVERY, argument={"address": "10.9.9.9"}, answer=404, refused=True, held=True,
                              locked=True, last="2.43"),
    "removeSecurityGroup": Published(states=EVERY, argument={"name": "default"}, held=True, locked=True),
    "rescue": Published(states=_REPAIRED, argument={}, answer=200),
    "resetNetwork": Published(states=EVERY, held=True, admin=True),
    "resize": Published(states=_RUNS_OR_IS_OFF, argument={"flavorRef": "2"}),
    "restore": Published(states=(SOFT_DELETED,)),
    "resume": Published(states=(SUSPENDED,)),
    "revertResize": Published(states=(RESIZED,)),
    "shelve": Published(states=_SNAPSHOT),
    "shelveOffload": Published(states=(SHELVED,), admin=True),
    "suspend": Published(states=(ACTIVE,)),
    "trigger_crash_dump": Published(states=(ACTIVE, PAUSED, RESCUED, RESIZED, ERROR), first="2.17"),
    "unlock": Published(states=EVERY, held=True, locked=True),
    "unpause": Published(states=(PAUSED,)),
    "unrescue": Published(states=(RESCUED,)),
    "unshelve": Published(states=(SHELVED, OFFLOADED)),
}

# Answered with 501 as yet, in every state. Building an action takes it off this list.
NOT_BUILT: Final = frozenset({


})
# What no driver here has, answered with 400 in every state, as the reference does without such a driver.
UNAVAILABLE: Final = frozenset({"os-getRDPConsole"})
# Where we refuse what the reference takes; docs/api-support.md gives the reason.
REFUSED_WHILE_HELD: Final = frozenset({"os-resetState"})
REFUSED_WHEN_LOCKED: Final = frozenset({"addSecurityGroup", "removeSecurityGroup"})
