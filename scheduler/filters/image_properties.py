"""Hosts that can run the image: its processor architecture and its hypervisor type."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot

# Image properties name things in the words of their tools; hosts report libvirt's words.
_ARCHITECTURES = {"amd64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64", "i386": "i686"}
_HYPERVISORS = {"kvm": "qemu"}


class ImageProperties:
    """Reads `hw_architecture` (or `architecture`) and `img_hv_type` (or `hypervisor_type`)."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that fit; None when the image says nothing."""
        properties = request.image_properties
        mask = None
        if arch := _first(properties, "hw_architecture", "architecture"):
            mask = snapshot.arch.equals(_ARCHITECTURES.get(arch, arch))
        if kind := _first(properties, "img_hv_type", "hypervisor_type"):
            wanted = _HYPERVISORS.get(kind, kind)
            fitting = [name for name in snapshot.hypervisor_type.names
                       if _HYPERVISORS.get(name.lower(), name.lower()) == wanted]
            found = snapshot.hypervisor_type.equals(*fitting)
            mask = found if mask is None else mask & found
        return mask


def _first(properties: dict[str, object], *keys: str) -> str:
    return next((str(properties[key]).lower() for key in keys if properties.get(key)), "")
