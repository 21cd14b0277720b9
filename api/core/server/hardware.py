"""What users choose of their servers' hardware; it is built so when the server is started next."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import orm

from api.core.server.servers import to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.operations import journal
from hostler.operations.kinds import server as kinds
from hostler.resources.server.hardware import BOOT_DEVICES, CPU_MODES

_POLICY = "os_compute_api:server-hardware:"


def set_boot_order(services: Services, context: RequestContext, server_id: str, order: Sequence[str]) -> None:
    """Choose which kinds of devices a server boots from, first to last; none: its disks by their boot indexes.

    Raises NotFound, Forbidden, ResourceLocked, InvalidField for an unknown or repeated kind.
    """
    if len(set(order)) < len(order) or not set(order) <= set(BOOT_DEVICES):
        raise errors.InvalidField(field="boot_order", value=",".join(order)[:255],
                                  reason=f"Accepted: each of {', '.join(BOOT_DEVICES)} once at most.")

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, _POLICY + "set_boot_order")
        server.boot_order = list(order) or None
        journal.note(session, context, kinds.SET_BOOT_ORDER, server)

    services.db.write(work)


def set_cpu_mode(services: Services, context: RequestContext, server_id: str, mode: str | None) -> None:
    """Choose the processor that a server sees; None: as its host is configured.

    Raises NotFound, Forbidden, ResourceLocked, InvalidField for an unknown mode.
    """
    if mode is not None and mode not in CPU_MODES:
        raise errors.InvalidField(field="cpu_mode", value=mode[:255], reason=f"Accepted: {', '.join(CPU_MODES)}.")

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, _POLICY + "set_cpu_mode")
        server.cpu_mode = mode
        journal.note(session, context, kinds.SET_CPU_MODE, server)

    services.db.write(work)
