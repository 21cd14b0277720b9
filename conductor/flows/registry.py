"""Operation kind → procedure. Importing this fails when a kind has none, or one has two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from conductor.flows.cloud import audit, drain
from conductor.flows.network import trace_packet
from conductor.flows.network import update as network_update
from conductor.flows.server import (
    attach_interface,
    attach_volume,
    confirm_resize,
    detach_interface,
    detach_volume,
    evacuate,
    guest_calls,
    images,
    isos,
    live_migration,
    power,
    rebuild,
    rescue,
    resize,
    revert_resize,
    shelve,
    trash,
    unshelve,
)
from conductor.flows.server import create as server_create
from conductor.flows.server import delete as server_delete
from conductor.flows.server import update as server_update
from conductor.flows.volume import attachments, backups, extend, moves, reimage, revert, snapshots, upload
from conductor.flows.volume import create as volume_create
from conductor.flows.volume import delete as volume_delete
from conductor.procedure import Procedure
from hostler import errors
from hostler.operations.kinds.registry import KINDS

_ALL: Final = (
    server_create.PROCEDURE, server_delete.PROCEDURE, *power.PROCEDURES, attach_volume.PROCEDURE,
    detach_volume.PROCEDURE, evacuate.PROCEDURE, rescue.RESCUE, rescue.UNRESCUE, server_update.PROCEDURE,
    network_update.APPLY_RULES, network_update.UPDATE, network_update.UPDATE_PEERS, network_update.UPDATE_ROUTER,
    trace_packet.PROCEDURE,
    trash.SOFT_DELETE, trash.RESTORE,
    shelve.SHELVE, shelve.SHELVE_OFFLOAD, unshelve.PROCEDURE,
    attach_interface.PROCEDURE, detach_interface.PROCEDURE, isos.ATTACH, isos.DETACH,
    rebuild.PROCEDURE, images.CREATE_IMAGE, images.CREATE_BACKUP,
    resize.RESIZE, resize.MIGRATE, confirm_resize.PROCEDURE, revert_resize.PROCEDURE,
    live_migration.PROCEDURE,
    *guest_calls.PROCEDURES,
    volume_create.PROCEDURE, volume_delete.PROCEDURE, extend.PROCEDURE, upload.PROCEDURE, moves.RETYPE, moves.MIGRATE,
    revert.PROCEDURE, reimage.PROCEDURE, snapshots.CREATE, snapshots.DELETE,
    backups.CREATE, backups.DELETE, backups.RESTORE, attachments.CONNECT, attachments.DELETE,
    audit.PROCEDURE, drain.PROCEDURE)
PROCEDURES: Final[Mapping[str, Procedure]] = {procedure.kind.name: procedure for procedure in _ALL}

if PROCEDURES.keys() != KINDS.keys() or len(_ALL) != len(KINDS):
    raise errors.Internal("Operation kinds without a procedure of their own: "
                          + ", ".join(sorted(KINDS.keys() - PROCEDURES.keys())))
