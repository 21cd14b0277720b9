"""Which of its volumes a server's guest has."""

from __future__ import annotations

import dataclasses

from compute.diskfile import RESCUED_TARGET
from hostler.resources.server.specs import AttachedSpec, ServerSpec


def guest_volumes(server: ServerSpec) -> tuple[AttachedSpec, ...]:
    """Return the volumes that a server's guest has: while it is rescued, its root volume alone."""
    if server.rescue is None:
        return server.volumes
    return tuple(dataclasses.replace(volume, device=RESCUED_TARGET, boot_index=None)
                 for volume in server.volumes if volume.boot_index == 0)
