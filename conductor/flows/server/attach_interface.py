"""server.attach_interface: the host connects a port and gives the guest its NIC.

1. PlugInterface   the agent plugs it into network, guest and definition (revert: it takes it out)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.interfaces import PlugInterface
from hostler.db.models import Server
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server.moves import move


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The port works, unless its server is on no host."""
    if session.get_one(Server, run.resource_id).host_id is not None:
        run.follow(ports.port_is_plugged(session, _port_id(run), run.context))


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server does not have the port, which is deleted if it was made for it, and records the cause."""
    run.follow(ports.release_port(session, _port_id(run), run.context))
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


def _port_id(run: Run) -> str:
    return run.arguments_of(kinds.ATTACH_INTERFACE).port_id


PROCEDURE = in_order(kinds.ATTACH_INTERFACE, [PlugInterface], succeeded, failed)
