"""Tasks that ask a host to build, change and remove servers."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.records.notes import note_build_failure
from hostler import errors
from hostler.db.models import Host, Server
from hostler.resources import revisions
from hostler.resources.network.port_specs import Groups, members_for, ports_to_unplug
from hostler.resources.server.records import server_spec
from hostler.resources.server.specs import PortSpec, ServerSpec

LOG = logging.getLogger(__name__)

_HOST_OF = sa.select(Host.name).join(Server, Server.host_id == Host.id).where(Server.id == sa.bindparam("server"))


class SpawnServer(OperationTask):
    """Have the host build and start the server. Revert: have it remove all of it."""

    default_provides = "guest"

    def execute(self, choice: dict[str, Any], admin_password: str | None) -> dict[str, Any]:
        """Return {"power_state"}."""
        spec, groups = load_spec(self.run, admin_password=admin_password)
        try:
            answer = self.run.ask_host(choice["host"], self.run.cloud.compute.spawn_server, spec, groups)
            tell_late_changes(self.run, choice["host"], spec)
            return answer
        except errors.HostlerError as error:
            note_build_failure(self.run, error)
            raise

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove the server from the host; a host that stays silent cleans up by itself when it returns."""
        try:
            destroy(self.run, choice["host"])
        except errors.HostUnreachable:
            LOG.warning("server %s may be left on silent host %s until that reconciles", self.run.resource_id,
                        choice["host"])


class DestroyServer(OperationTask):
    """Have the host remove the server. Revert: nothing to undo, it cannot be brought back."""

    def execute(self) -> None:
        """Remove it; a host that stays silent past the operator's patience removes it when it returns."""
        host, ports = _placed(self.run)
        if host is None:
            return
        try:
            self.run.ask_host(host, self.run.cloud.compute.destroy_server, self.run.resource_id, ports)
        except errors.HostUnreachable:
            LOG.warning("server %s is deleted while host %s is silent; the host removes it when it returns",
                        self.run.resource_id, host)


class ChangePower(OperationTask):
    """Have the host start, stop, reboot, pause, unpause, suspend or resume the server. Revert: nothing to undo."""

    default_provides = "guest"

    def __init__(self, verb: str, **options: Any) -> None:
        super().__init__(name=f"{verb.capitalize()}Server", **options)
        self._verb = verb

    def execute(self, hard: bool = False) -> dict[str, Any]:
        """Return {"power_state"}; `hard` is for a reboot."""
        host = require_host(self.run)
        run, compute = self.run, self.run.cloud.compute
        # Committed before the host is asked: its reports until now are out of date.
        run.write(lambda session: revisions.guest_changes(session, run.resource_id))
        spec, groups = load_spec(run)
        if self._verb not in ("start", "stop", "reboot"):
            return run.ask_host(host, getattr(compute, f"{self._verb}_server"), spec)
        if self._verb == "start":
            return run.ask_host(host, compute.start_server, spec, groups)
        timeout_s = run.conf.compute.shutdown_timeout
        if self._verb == "stop":
            return run.ask_host(host, compute.stop_server, spec, timeout_s)
        return run.ask_host(host, compute.reboot_server, spec, hard, timeout_s, groups)


class TellGuest(OperationTask):
    """Have the host tell the guest its name and metadata as they are now. Revert: nothing to undo."""

    def execute(self) -> None:
        """Tell it; a server that is gone, or on no host, needs nothing."""
        host = host_of(self.run)
        if host is None:
            return
        spec, groups = load_spec(self.run)
        self.run.ask_host(host, self.run.cloud.compute.update_server, spec, groups)


def tell_late_changes(run: Run, host: str, sent: ServerSpec) -> None:
    """Repeat what changed while the server was being built: its host may have been told before it knew the server."""
    with run.reading() as session:
        if revisions.of_server(session, run.resource_id) == revisions.of_spec(sent):
            return
    spec, groups = load_spec(run)
    run.ask_host(host, run.cloud.compute.update_server, spec, groups)
    run.ask_host(host, run.cloud.compute.apply_port_rules, spec.ports, groups)


def load_spec(run: Run, *, admin_password: str | None = None) -> tuple[ServerSpec, Groups]:
    """Return the spec of the run's server and the members of the groups its rules name."""
    with run.reading() as session:
        spec = server_spec(session, run.conf, run.cloud.images, run.resource_id, admin_password=admin_password)
        return spec, members_for(session, spec.ports)


def host_of(run: Run) -> str | None:
    """Return the name of the server's host, or None when it is on none."""
    with run.reading() as session:
        return session.scalar(_HOST_OF, {"server": run.resource_id})


def require_host(run: Run) -> str:
    """Return the name of the server's host; raises Conflict when it is on none."""
    host = host_of(run)
    if host is None:
        raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
    return host


def destroy(run: Run, host: str) -> None:
    """Have `host` remove the run's server with its ports."""
    run.ask_host(host, run.cloud.compute.destroy_server, run.resource_id, _placed(run)[1])


def _placed(run: Run) -> tuple[str | None, tuple[PortSpec, ...]]:
    with run.reading() as session:
        return ports_to_unplug(session, run.resource_id)
