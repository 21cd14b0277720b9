"""Every check, in the order in which they find and repair: what frees resources comes first."""

from __future__ import annotations

from conductor.audit.check import Check
from conductor.audit.checks.gone_ports import GonePorts
from conductor.audit.checks.guest_volumes import GuestVolumes
from conductor.audit.checks.guests import Guests
from conductor.audit.checks.host_claims import HostClaims
from conductor.audit.checks.host_networks import HostNetworks
from conductor.audit.checks.leftover_connections import LeftoverConnections
from conductor.audit.checks.leftover_data import LeftoverData
from conductor.audit.checks.lost_backends import LostBackends
from conductor.audit.checks.lost_connections import LostConnections
from conductor.audit.checks.missing_data import MissingData
from conductor.audit.checks.quota_overruns import QuotaOverruns
from conductor.audit.checks.router_records import RouterRecords
from conductor.audit.checks.stale_attachments import StaleAttachments
from conductor.audit.checks.stale_locks import StaleLocks
from conductor.audit.checks.unfinished_claims import UnfinishedClaims
from conductor.audit.checks.unfinished_creations import UnfinishedCreations
from conductor.audit.checks.unknown_data import UnknownData

CHECKS: tuple[Check, ...] = (
    StaleLocks(), UnfinishedCreations(), UnfinishedClaims(), HostClaims(), GonePorts(), RouterRecords(), Guests(),
    HostNetworks(), StaleAttachments(), GuestVolumes(), LeftoverConnections(), LostConnections(), LeftoverData(),
    UnknownData(), MissingData(), LostBackends(), QuotaOverruns(),
)
