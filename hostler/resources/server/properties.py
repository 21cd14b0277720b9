"""Image properties and flavor extra specs that describe a guest: which are honoured, harmless or refused.

No property is ignored silently: a name or value that the hypervisor driver does not carry out is refused when a server
is created (`check_properties`); `hostler.resources.server.hardware` reads the others. Names are those of nova's image
metadata and extra specs. Names without one of the prefixes below are users' own and may hold anything.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Final

from oslo_utils import strutils

from hostler import errors
from hostler.resources.server import cpu_topology, host_failure

_LARGEST: Final = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Accepts:
    """The values accepted for one property: a pattern of the whole value, and the same in words."""

    pattern: str
    words: str
    most: int | None = None

    def matches(self, value: Any) -> bool:
        """Return whether `value` is accepted; case and surrounding blanks do not matter."""
        text = str(value).strip().lower()
        if re.fullmatch(self.pattern, text) is None:
            return False
        return self.most is None or int(text) <= self.most


def one_of(*values: str) -> Accepts:
    """Accept a few words."""
    return Accepts("|".join(map(re.escape, values)), f"Accepted: {', '.join(values)}.")


def number(least: int, most: int = _LARGEST) -> Accepts:
    """Accept decimal numbers (`least` is 0 or 1)."""
    return Accepts(r"\d{1,10}" if least == 0 else r"0*[1-9]\d{0,9}", f"Accepted: {least} to {most}.", most)


def between(least: int, most: int) -> Accepts:
    """Accept decimal numbers from `least`, which is a power of ten, to `most`."""
    return Accepts(rf"0*[1-9]\d{{{len(str(least)) - 1},13}}", f"Accepted: {least} to {most}.", most)


_FALSE: Final = Accepts("|".join(strutils.FALSE_STRINGS), "Only false is accepted: the hypervisor driver lacks it.")
_BOOLEAN: Final = Accepts("|".join((*strutils.TRUE_STRINGS, *strutils.FALSE_STRINGS)), "Accepted: true, false.")
_ANY: Final = Accepts(r"(?s).*", "Accepted: anything.")

_FIRMWARE: Final = one_of("bios", "uefi")
# Guests of the i440FX machine would take no more devices than its one bus has slots.
_MACHINE: Final = Accepts(r"q35|pc-q35-\d{1,3}\.\d{1,3}", "Accepted: q35, pc-q35-<version>.")
VIF_WAYS: Final = ("inbound", "outbound")
VIF_LIMITS: Final = ("average", "peak", "burst")  # KiB a second, KiB a second, KiB

# Carried out by the libvirt driver, by name.
HONOURED_IMAGE: Final[dict[str, Accepts]] = {
    "hw_disk_bus": one_of("virtio", "scsi"), "hw_cdrom_bus": one_of("sata", "scsi"),
    "hw_vif_model": one_of("virtio", "e1000", "e1000e", "rtl8139"),
    "hw_rng_model": one_of("virtio"),
    "hw_video_model": one_of("vga", "virtio", "cirrus", "none"),
    "hw_qemu_guest_agent": _BOOLEAN, "os_require_quiesce": _BOOLEAN,
    "hw_boot_menu": _BOOLEAN, "hw_video_ram": number(1, 1024),
    "hw_firmware_type": _FIRMWARE, "hw_machine_type": _MACHINE,
    "hw_time_hpet": _BOOLEAN,
    "os_shutdown_timeout": number(0),
    **{f"hw_cpu_{limit}{part}": number(1) for limit in ("", "max_") for part in cpu_topology.PARTS},
}
HONOURED_FLAVOR: Final[dict[str, Accepts]] = {
    "hw_rng:allowed": _BOOLEAN, "hw_rng:rate_bytes": number(1), "hw_rng:rate_period": number(1),
    "hw:boot_menu": _BOOLEAN, "hw_video:ram_max_mb": number(0),
    "hw:firmware_type": _FIRMWARE, "hw:machine_type": _MACHINE,
    "quota:cpu_shares": number(1, 262144), "quota:cpu_period": between(1000, 1000000),
    "quota:cpu_quota": between(1000, 10**13),
    **{f"quota:vif_{way}_{what}": number(1) for way in VIF_WAYS for what in VIF_LIMITS},
    **{f"hw:cpu_{limit}{part}": number(1) for limit in ("", "max_") for part in cpu_topology.PARTS},
    **{f"quota:disk_{way}_{what}_sec": number(0) for way in ("read", "write", "total") for what in ("bytes", "iops")},
}
# What every guest has anyway: other values are refused.
_GIVEN_IMAGE: Final[dict[str, Accepts]] = {
    "hw_scsi_model": one_of("virtio-scsi"),
    "hw_input_bus": one_of("virtio"), "hw_serial_port_count": one_of("1"), "hw_vm_mode": one_of("hvm"),
    "hw_cpu_policy": one_of("shared"), "hw_mem_page_size": one_of("small", "any"),
    "hw_mem_encryption": _FALSE, "hw_vif_multiqueue_enabled": _FALSE, "hw_firmware_stateless": _FALSE,
    "hw_locked_memory": _FALSE, "hw_virtio_packed_ring": _FALSE, "hw_ipxe_boot": _FALSE,
    "hw_pci_numa_affinity_policy": one_of("legacy"), "hw_watchdog_action": one_of("disabled"),
    "os_secure_boot": one_of("disabled", "optional"),
}
_GIVEN_FLAVOR: Final[dict[str, Accepts]] = {
    "hw:cpu_policy": one_of("shared"), "hw:mem_page_size": one_of("small", "any"), "hw:mem_encryption": _FALSE,
    "hw:cpu_realtime": _FALSE, "hw:hide_hypervisor_id": _FALSE, "hide_hypervisor_id": _FALSE,
    "hw:vif_multiqueue_enabled": _FALSE, "hw:serial_port_count": one_of("1"), "hw:input_bus": one_of("virtio"),
    "hw:locked_memory": _FALSE,
    "hw:virtio_packed_ring": _FALSE, "hw:watchdog_action": one_of("disabled"),
    "hw:pci_numa_affinity_policy": one_of("legacy"), "os:secure_boot": one_of("disabled"),
}
# About devices that no guest has: there is nothing to carry out.
_HARMLESS_IMAGE: Final = dict.fromkeys(
    # hw_architecture is what the scheduler chooses hosts by.
    ("hw_architecture", "hw_floppy_bus", "hw_rescue_bus", "hw_rescue_device", "hw_auto_disk_config"),
    _ANY)

# `os_` names describe the guest (os_distro, os_type, os_admin_user …): of those only names that ask for something of
# the host are refused.
_REFUSED_IMAGE: Final = frozenset({"os_command_line"})
_IMAGE_PREFIXES: Final = ("hw_",)
_FLAVOR_PREFIXES: Final = ("hw:", "hw_", "quota:", "os:", "accel:", "pci_passthrough:", "resources", "group_policy",
                           "powervm:", "vmware:", "hide_hypervisor_id", "hostler:")

# Carried out by the conductors.
_HOST_FAILURE: Final[dict[str, Accepts]] = {host_failure.POLICY: one_of(*host_failure.CHOICES)}

_IMAGE: Final = {**HONOURED_IMAGE, **_GIVEN_IMAGE, **_HARMLESS_IMAGE}
_FLAVOR: Final = {**HONOURED_FLAVOR, **_GIVEN_FLAVOR, **_HOST_FAILURE}


def check_properties(image_properties: Mapping[str, Any], extra_specs: Mapping[str, Any],
                     vcpus: int | None = None) -> None:
    """Raise InvalidField for the first property that would not be carried out.

    With `vcpus` also for a processor topology that cannot be made of them.
    """
    for name, value in sorted(image_properties.items()):
        _check(name, value, _IMAGE.get(name), name.startswith(_IMAGE_PREFIXES) or name in _REFUSED_IMAGE)
    for name, value in sorted(extra_specs.items()):
        _check(name, value, _FLAVOR.get(name), name.startswith(_FLAVOR_PREFIXES))
    _check_disk_limits(extra_specs)
    _check_vif_limits(extra_specs)
    _check_video_ram(image_properties, extra_specs)
    if vcpus is not None:
        cpu_topology.choose(vcpus, image_properties, extra_specs)


def _check_disk_limits(extra_specs: Mapping[str, Any]) -> None:
    """Raise InvalidField for a total beside one of its parts, which QEMU does not take; 0 sets no limit."""
    for what in ("bytes", "iops"):
        total, read, write = (f"quota:disk_{way}_{what}_sec" for way in ("total", "read", "write"))
        values = {name: int(extra_specs.get(name) or 0) for name in (total, read, write)}
        if values[total] and (values[read] or values[write]):
            raise errors.InvalidField(field=total, value=values[total],
                                      reason="A total cannot be set together with a limit of reads or writes.")


def _check_vif_limits(extra_specs: Mapping[str, Any]) -> None:
    """Raise InvalidField for a peak or burst without the average that it goes beyond."""
    for way in VIF_WAYS:
        average, *others = (f"quota:vif_{way}_{what}" for what in VIF_LIMITS)
        for name in others:
            if name in extra_specs and average not in extra_specs:
                raise errors.InvalidField(field=name, value=str(extra_specs[name])[:255],
                                          reason=f"It needs {average} beside it.")


def _check_video_ram(image_properties: Mapping[str, Any], extra_specs: Mapping[str, Any]) -> None:
    """Raise InvalidField for more video memory than the flavor allows; without a word of the flavor there is none."""
    wanted, most = int(image_properties.get("hw_video_ram") or 0), int(extra_specs.get("hw_video:ram_max_mb") or 0)
    if wanted > most:
        raise errors.InvalidField(field="hw_video_ram", value=str(wanted),
                                  reason=f"The flavor allows {most} MiB (hw_video:ram_max_mb).")


def _check(name: str, value: Any, accepts: Accepts | None, ours: bool) -> None:
    if accepts is None and ours:
        raise errors.InvalidField(field=name, value=str(value)[:255],
                                  reason="The hypervisor driver does not support this property.")
    if accepts is not None and not accepts.matches(value):
        raise errors.InvalidField(field=name, value=str(value)[:255], reason=accepts.words)
