"""server.create: find a host, claim it, build the guest there; on a failed build, try another host.

1. SelectHost    the scheduler chooses and claims (revert: release, and exclude that host)
2. AssignHost    the records name the host (revert: they no longer do)
3. SpawnServer   the agent plugs, fetches, defines, starts (revert: it removes all of it)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow import retry
from taskflow.patterns import linear_flow

from conductor.kinds import Failure, Kind
from conductor.run import Cancelled, Run
from conductor.tasks.placement import AssignHost, SelectHost
from conductor.tasks.servers import SpawnServer
from hostler import clock
from hostler.db.models import Server
from hostler.resources import allocations, ports, states

BUILD_ATTEMPTS = 3


class AnotherHost(retry.Times):
    """Try again on another host when a host failed; not when there was none, or when asked to stop."""

    def on_failure(self, history: Any, *args: Any, **kwargs: Any) -> str:
        """Return TaskFlow's decision."""
        names = {name for _, failures in list(history)[-1:] for failure in failures.values()
                 for name in failure}
        if "AgentError" not in " ".join(names):
            return str(retry.REVERT)
        return str(super().on_failure(history, *args, **kwargs))


def build(run: Run) -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("server.create", retry=AnotherHost(BUILD_ATTEMPTS, name="AnotherHost"))
    return flow.add(SelectHost(run), AssignHost(run), SpawnServer(run))


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server is active."""
    session.execute(sa.update(Server).where(Server.id == run.resource_id).values(
        vm_state=states.ACTIVE, power_state=results["guest"]["power_state"], launched_at=clock.utcnow(), fault=None))
    ports.set_ports_host(session, run.resource_id, results["choice"]["host_id"], "ACTIVE", run.context)


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is in error with its cause, on no host; cancelled for a deletion it just waits for that."""
    values: dict[str, Any] = {"host_id": None}
    if failure.code != Cancelled.code:
        values.update(vm_state=states.ERROR, fault=fault_of(failure))
    session.execute(sa.update(Server).where(Server.id == run.resource_id).values(**values))
    allocations.release(session, run.resource_id)
    ports.set_ports_host(session, run.resource_id, None, "DOWN")


def fault_of(failure: Failure) -> dict[str, Any]:
    """Return what the server shows as its fault."""
    return {"code": failure.http_status, "message": failure.message, "details": failure.details,
            "created": clock.iso_z(clock.utcnow())}


KIND = Kind(build, succeeded, failed)
