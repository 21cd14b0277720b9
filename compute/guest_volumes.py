"""Which of its volumes a server's guest has."""

from __future__ import annotations

import dataclasses

from compute.virt.driver import RESCUED_TARGET
from hostler.resources.server.specs import AttachedSpec, ServerSpec


def guest_volumes(server: ServerSpec) -> tuple[AttachedSpec, ...]:
    """Return the volumes that a server's guest has.

    While it is rescued it boots from none of them; and it has its root volume alone, unless the rescue image names a
    device.
    """
    if server.rescue is None:
        return server.volumes
    if server.rescue.device is not None:
        return tuple(dataclasses.replace(volume, boot_index=None) for volume in server.volumes)
    return tuple(dataclasses.replace(volume, device=RESCUED_TARGET, boot_index=None)
                 for volume in server.volumes if volume.boot_index == 0)
