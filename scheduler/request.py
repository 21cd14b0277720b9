"""What is asked of the scheduler: one consumer, its size, and where it may stand."""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler.resources.server.allocations import Amounts
from hostler.resources.server.specs import Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request(Spec):
    """A request for one host; travels as a plain map (`to_wire`, `from_wire`).

    `host` names the only host allowed. `excluded_hosts` are names or ids. A request with a group policy is completed by
    the scheduler from the group's rows (`group_id`, or else the consumer's membership) and the policy is proved again
    in the claim; `group_host_ids` (the host of each placed member) counts only where there are no rows. `hints` are
    the user's: `same_host` and `different_host` list server ids, whose host ids are put into `hint_host_ids`.
    """

    consumer_id: str
    vcpus: int
    ram_mib: int
    disk_gib: int
    operation_id: str | None = None
    project_id: str | None = None
    zone: str | None = None
    host: str | None = None
    extra_specs: dict[str, Any] = dataclasses.field(default_factory=dict)
    image_properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    hints: dict[str, Any] = dataclasses.field(default_factory=dict)
    hint_host_ids: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    group_id: str | None = None
    group_policy: str | None = None
    group_rules: dict[str, Any] = dataclasses.field(default_factory=dict)
    group_host_ids: tuple[str, ...] = ()
    excluded_hosts: tuple[str, ...] = ()

    @property
    def wanted(self) -> Amounts:
        """The size, as hosts count it."""
        return Amounts(self.vcpus, self.ram_mib, self.disk_gib)
