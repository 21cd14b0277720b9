"""What tells whether a server's spec may have changed, without building it.

A spec costs a dozen statements and several milliseconds. A host with fifty servers asks for all of them every few
minutes, and nearly all are as they were. So a spec travels with a fingerprint of the records it was made from, and
while that stays the same the host is only told that it does. A fingerprint may change where the spec does not; that
costs one spec.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Port, Server, Volume, VolumeAttachment
from hostler.resources.server import specs

# A release that tells hosts more than the last one must tell them all of it.
_SHAPE: Final = repr([[field.name for field in dataclasses.fields(kind)] for kind in (
    specs.ServerSpec, specs.PortSpec, specs.NetworkSpec, specs.SubnetSpec, specs.RuleSpec, specs.FixedIpSpec,
    specs.RouterSpec, specs.RouterPortSpec, specs.FloatingIpSpec, specs.ForwardingSpec,
    specs.AttachedSpec, specs.ConnectionSpec, specs.ImageSpec, specs.RescueSpec)])

# Built once: every host asks every few minutes.
_HERE: Final = (Server.host_id == sa.bindparam("host"), Server.deleted_at.is_(None))
_SERVERS: Final = sa.select(Server.id, Server.revision, Server.updated_at, Server.vm_state).where(*_HERE)
_PORTS: Final = sa.select(
    Server.id, sa.func.count(), sa.func.sum(Port.spec_revision), sa.func.max(Port.updated_at)).join(
    Port, Port.server_id == Server.id).where(*_HERE).group_by(Server.id)
_VOLUMES: Final = sa.select(
    Server.id, VolumeAttachment, Volume.size_gib, Volume.readonly, Volume.multiattach).join(
    VolumeAttachment, VolumeAttachment.server_id == Server.id).join(
    Volume, Volume.id == VolumeAttachment.volume_id).where(*_HERE).order_by(VolumeAttachment.id)


def fingerprints(session: orm.Session, host_id: str) -> dict[str, str]:
    """Return the fingerprints of all servers on a host by server id, in three statements.

    Read them before the specs: these may then be newer than their fingerprint, but never older.
    """
    wanted = {"host": host_id}
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for server_id, *values in session.execute(_SERVERS, wanted):
        found[server_id].append(values)
    for server_id, *values in session.execute(_PORTS, wanted):
        found[server_id].append([str(value) for value in values])  # sums are decimals on some databases
    for server_id, attachment, *values in session.execute(_VOLUMES, wanted).tuples():
        found[server_id].append([attachment.id, attachment.connection, attachment.device, attachment.boot_index,
                                 attachment.mode, attachment.tag, *values])
    return {server_id: hashlib.sha256(f"{_SHAPE}{values!r}".encode()).hexdigest()[:32]
            for server_id, values in found.items()}
