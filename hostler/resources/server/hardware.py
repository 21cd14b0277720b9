"""The virtual hardware that a server's image and flavor ask for, as its driver builds it.

Properties are checked when a server is created (`hostler.resources.server.properties`). A server that was
created before there was that check still starts: a value that is not accepted is ignored here.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from oslo_utils import strutils

from hostler import errors
from hostler.resources.server import cpu_topology
from hostler.resources.server.cpu_topology import Topology
from hostler.resources.server.properties import HONOURED_FLAVOR, HONOURED_IMAGE, VIF_LIMITS, VIF_WAYS, Accepts
from hostler.resources.server.specs import ServerSpec

_DISK_QUOTA = "quota:disk_"
BOOT_DEVICES: Final = ("disk", "cdrom", "network")
CPU_MODES: Final = ("none", "host-model", "host-passthrough")


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One guest's devices; bandwidths are bytes a second, periods milliseconds."""

    topology: Topology
    disk_bus: str = "virtio"
    cdrom_bus: str = ""  # none: it gets a drive, on SATA, only when something is in it
    vif_model: str = "virtio"
    video_model: str = "vga"
    video_mib: int = 16
    uefi: bool = False
    machine: str = "q35"
    guest_agent: bool = True
    boot_menu: bool = False
    hpet: bool = False
    rng: bool = True
    rng_bytes: int | None = None  # per `rng_period_ms`
    rng_period_ms: int = 1000
    disk_limits: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by libvirt's name, read_bytes_sec …
    cpu_limits: Mapping[str, int] = dataclasses.field(default_factory=dict)  # shares, period, quota
    # For each direction average, peak and burst in KiB (a second).
    vif_limits: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, server: ServerSpec) -> Self:
        """Return the hardware of `server`."""
        image = _Properties(server.image_properties, HONOURED_IMAGE)
        flavor = _Properties(server.extra_specs, HONOURED_FLAVOR)
        limits = {name.removeprefix("quota:disk_"): flavor.number(name) for name in HONOURED_FLAVOR
                  if name.startswith(_DISK_QUOTA)}
        return cls(
            topology=_topology(server), disk_bus=image.word("hw_disk_bus", "virtio"),
            cdrom_bus=image.word("hw_cdrom_bus", ""),
            vif_model=image.word("hw_vif_model", "virtio"), video_model=image.word("hw_video_model", "vga"),
            guest_agent=has_guest_agent(server.image_properties),
            boot_menu=image.flag("hw_boot_menu", flavor.flag("hw:boot_menu", False)),
            hpet=image.flag("hw_time_hpet", False), rng=flavor.flag("hw_rng:allowed", True),
            rng_bytes=flavor.number("hw_rng:rate_bytes"), rng_period_ms=flavor.number("hw_rng:rate_period") or 1000,
            disk_limits={name: value for name, value in limits.items() if value},
            video_mib=image.number("hw_video_ram") or 16,
            uefi=image.word("hw_firmware_type", flavor.word("hw:firmware_type", "bios")) == "uefi",
            machine=image.word("hw_machine_type", flavor.word("hw:machine_type", "q35")),
            cpu_limits=_numbers(flavor, "quota:cpu_", ("shares", "period", "quota")),
            vif_limits={way: limit for way in VIF_WAYS
                        if (limit := _numbers(flavor, f"quota:vif_{way}_", VIF_LIMITS))})


class Freeze(enum.Enum):
    """Whether the guest's agent is to freeze the file systems while a copy of a disk begins."""

    NO = "no"
    TRY = "try"
    MUST = "must"


def freeze_for_snapshots(server: ServerSpec) -> Freeze:
    """Return what the server's image says: it must be (`os_require_quiesce`), or it has an agent that can."""
    if must_freeze(server.image_properties):
        return Freeze.MUST
    image = _Properties(server.image_properties, HONOURED_IMAGE)
    return Freeze.TRY if image.flag("hw_qemu_guest_agent", False) else Freeze.NO


def must_freeze(image_properties: Mapping[str, Any]) -> bool:
    """Return whether an image's servers are only copied with their file systems frozen."""
    return _Properties(image_properties, HONOURED_IMAGE).flag("os_require_quiesce", False)


def has_guest_agent(image_properties: Mapping[str, Any]) -> bool:
    """Return whether an image's servers get the channel that a guest agent needs."""
    return _Properties(image_properties, HONOURED_IMAGE).flag("hw_qemu_guest_agent", True)


def shutdown_timeout_s(server: ServerSpec) -> int | None:
    """Return the seconds that the server's image gives it to shut down; None when it says nothing."""
    return _Properties(server.image_properties, HONOURED_IMAGE).number("os_shutdown_timeout")


def _topology(server: ServerSpec) -> Topology:
    try:
        return cpu_topology.choose(server.vcpus, server.image_properties, server.extra_specs)
    except errors.InvalidField:
        return Topology(server.vcpus, 1, 1)


def _numbers(flavor: _Properties, prefix: str, names: Sequence[str]) -> dict[str, int]:
    return {name: value for name in names if (value := flavor.number(prefix + name)) is not None}


class _Properties:
    """Those of some properties that are accepted."""

    def __init__(self, values: Mapping[str, Any], accepted: Mapping[str, Accepts]) -> None:
        self._values = {name: str(value).strip().lower() for name, value in values.items()
                        if name in accepted and accepted[name].matches(value)}

    def word(self, name: str, default: str) -> str:
        return self._values.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        return strutils.bool_from_string(self._values[name]) if name in self._values else default

    def number(self, name: str) -> int | None:
        return int(self._values[name]) if name in self._values else None
