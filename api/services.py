"""What request handlers work with; built once a process by `api.service.build`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from oslo_config import cfg

from api.zone_cache import ZoneCache
from hostler.audit.trail import Trail
from hostler.db.engine import Database

if TYPE_CHECKING:
    from api.policy import Policy
    from api.wake import Waker
    from compute.rpcapi import ComputeAPI
    from hostler.identity.service import Identity
    from hostler.images.store import ImageStore


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """The parts of one api process."""

    conf: cfg.ConfigOpts
    db: Database
    identity: Identity
    policy: Policy
    images: ImageStore
    waker: Waker
    compute: ComputeAPI
    audit: Trail = dataclasses.field(default_factory=Trail)
    zones: ZoneCache = dataclasses.field(default_factory=ZoneCache)
