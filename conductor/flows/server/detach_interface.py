"""server.detach_interface: the guest lets go of a NIC, and the host disconnects its port.

1. UnplugInterface   the agent takes it from the guest, within the guest's time, and from the network (revert: it gives
                     it back)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.interfaces import UnplugInterface
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server.moves import move


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The port is free, or gone when it was made for the server."""
    run.follow(ports.release_port(session, run.arguments_of(kinds.DETACH_INTERFACE).port_id, run.context))


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server keeps the port, and records the cause."""
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


PROCEDURE = in_order(kinds.DETACH_INTERFACE, [UnplugInterface], succeeded, failed)
