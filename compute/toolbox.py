"""The host-facing parts of one agent, chosen together: a real hypervisor wants real disks, a fake one fake disks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from compute.connections import Connections
from compute.diskfile import Disks
from compute.transfer import Transfer
from compute.virt.driver import Driver
from hostler.images.cache import Images

if TYPE_CHECKING:
    # A fake host needs none of the real network's libraries.
    from compute.network.plumbing import NetworkPlumbing


def no_checkpoint(_step: str, _server_id: str) -> None:
    """The checkpoint of a real host: nothing happens between two steps."""


@dataclasses.dataclass(frozen=True)
class Toolbox:
    """One host's parts. `checkpoint(step, server id)` is passed between steps, where the fake host may fail."""

    driver: Driver
    network: NetworkPlumbing
    images: Images
    disks: Disks
    connections: Connections
    transfer: Transfer
    tap_name: Callable[[str], str]
    checkpoint: Callable[[str, str], None] = no_checkpoint
