"""Stable-device rescue: all disks of a server keep their places, and the rescue disk is attached after them.

The rescue image asks for it with `hw_rescue_device`, `hw_rescue_bus` or both
(https://docs.openstack.org/nova/latest/user/rescue.html). Images with neither are rescued in the older way: the rescue
disk comes first, with the root disk alone beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hostler import errors

_DEVICE: Final = "hw_rescue_device"
_BUS: Final = "hw_rescue_bus"
# What q35 machines boot from, by device; the first bus is used when the image names none. No CD-ROM on USB: QEMU shows
# it to the guest as a disk, and an ISO is not bootable as one unless it is made for both.
BUSES: Final = {"disk": ("virtio", "scsi", "sata", "usb"), "cdrom": ("sata", "scsi")}


def rescue_device(properties: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the (device, bus) that a rescue image's properties ask for, unchecked; None when they name neither."""
    if _DEVICE not in properties and _BUS not in properties:
        return None
    device = _word(properties, _DEVICE) or "disk"
    bus = _word(properties, _BUS) or _word(properties, f"hw_{device}_bus") or BUSES.get(device, ("",))[0]
    return device, bus


def check_rescue_device(properties: Mapping[str, Any]) -> None:
    """Raise InvalidField for a device or bus that guests cannot have."""
    device, bus = rescue_device(properties) or ("disk", "virtio")
    if device not in BUSES:
        raise errors.InvalidField(field=_DEVICE, value=device,
                                  reason=f"Requested rescue device '{device}' is not supported")
    if bus not in BUSES[device]:
        raise errors.InvalidField(field=_BUS, value=bus, reason=(
            f"Requested rescue bus '{bus}' is not supported for the rescue device '{device}'"))


def _word(properties: Mapping[str, Any], name: str) -> str:
    return str(properties.get(name, "")).strip().lower()
