"""The order in which a guest tries its devices, where its user chose one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from compute.virt.libvirt.elements import add

_DISK: Final = "disk[@device='disk']"
_FINDERS: Final = {"disk": f"{_DISK}/boot/..", "cdrom": "disk[@device='cdrom']", "network": "interface"}


def boot_in_order(devices: Any, order: Sequence[str]) -> None:
    """Number the devices by their kinds, each kind as it is already: disks by their boot indexes, then drives and NICs
    as they come. Kinds that `order` does not name do not boot."""
    found = [device for kind in order for device in sorted(devices.findall(_FINDERS[kind]), key=_present)]
    for element in devices.findall("*/boot"):
        element.getparent().remove(element)
    for number, device in enumerate(found, start=1):
        add(device, "boot", order=str(number))


def _present(device: Any) -> int:
    boot = device.find("boot")
    return 0 if boot is None else int(boot.get("order"))
