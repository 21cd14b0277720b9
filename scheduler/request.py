"""What is asked of the scheduler for a server, and its answer: one consumer, its size, and where it may run."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from hostler.resources.server.allocations import Amounts
from scheduler.message import Message

# No group has this id, so schedulers that do not know the word find none.
NO_GROUP: Final = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(Message):
    """A request for one host.

    `host` names the only host allowed. `excluded_hosts` are names or ids. `hints` are the user's: `same_host` and
    `different_host` list server ids. `patient` requests count on every enabled host to return, however long it has
    been silent: services were down, and nobody could have heard it.
    """

    consumer_id: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    project_id: str | None = None
    zone: str | None = None
    host: str | None = None
    extra_specs: dict[str, Any] = dataclasses.field(default_factory=dict)
    image_properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    hints: dict[str, Any] = dataclasses.field(default_factory=dict)
    excluded_hosts: tuple[str, ...] = ()
    # Traits that the server's networks need: `hostler.resources.network.kinds`.
    networks: tuple[str, ...] = ()
    patient: bool = False
    # The scheduler's own completions from the records. The group's policy is proved again in the claim;
    # `group_host_ids` (the host of each placed member) counts only where there are no rows. `NO_GROUP` is said of a
    # server that is known to have none.
    hint_host_ids: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    group_id: str | None = None
    group_policy: str | None = None
    group_rules: dict[str, Any] = dataclasses.field(default_factory=dict)
    group_host_ids: tuple[str, ...] = ()

    @property
    def wanted(self) -> Amounts:
        """The size, as hosts count it."""
        return Amounts(self.vcpus, self.ram_mib, self.disk_gib)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Message):
    """The host that was claimed."""

    host_id: str
    host: str
    zone: str
