"""The terms of a live migration between agents and drivers: how to send, its progress, how it ended.

A guest moves from its source's hypervisor to its target's, peer to peer. The source describes the guest (`describe`),
the target makes room for it and says where it lands (`prepare`), the source sends it (`send`). Until the last moment it
runs at the source; what fails leaves it there.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

RUNNING: Final = "running"  # memory and disks travel
MOVED: Final = "moved"  # the source has no such guest any more
FAILED: Final = "failed"  # the guest goes on at the source
ABORTED: Final = "aborted"  # as FAILED, because it was asked for
ABORT: Final = "abort"
FORCE: Final = "force_complete"


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the target must know of the guest as it is: its processor, and sizes of its own disks (`vda`: bytes)."""

    cpu: str = ""  # as its hypervisor writes it
    disks: dict[str, int] = dataclasses.field(default_factory=dict)
    base: str = ""  # the file its root disk stands on: the checksum of an image
    base_format: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Origin:
        """Return what `to_wire` made."""
        return cls(values["cpu"], dict(values["disks"]), values["base"], values.get("base_format", ""))


@dataclasses.dataclass(frozen=True)
class Landing:
    """Where the guest goes: the target hypervisor's address, and the guest as it is to be defined there."""

    uri: str
    definition: str
    # Disks that are copied, by their names in the guest, and whether their base image is there already.
    copied: tuple[str, ...] = ()
    on_base: bool = True
    paused: bool = False  # it stays paused there until its disks were compared

    def to_wire(self) -> dict[str, Any]:
        """Return JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Landing:
        """Return what `to_wire` made."""
        return cls(values["uri"], values["definition"], tuple(values["copied"]), bool(values["on_base"]),
                   bool(values.get("paused", False)))


@dataclasses.dataclass(frozen=True)
class Manner:
    """How the guest is sent, as the source's host is configured."""

    tls: bool = True
    post_copy: bool = False  # may be switched to, by force
    auto_converge: bool = False
    bandwidth_mib: int = 0  # per second; 0: no limit
    downtime_ms: int = 500


@dataclasses.dataclass(frozen=True)
class Transfer:
    """Bytes of memory and of disks: all, sent, and left."""

    memory_total_bytes: int = 0
    memory_processed_bytes: int = 0
    memory_remaining_bytes: int = 0
    disk_total_bytes: int = 0
    disk_processed_bytes: int = 0
    disk_remaining_bytes: int = 0
