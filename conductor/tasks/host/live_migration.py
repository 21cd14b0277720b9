"""Tasks that ask source and target of a live migration, in the order of `conductor.flows.server.live_migrate`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.sending import Sending, settle
from conductor.tasks.host.servers import load_spec, tell_late_changes
from conductor.tasks.node.calls import tried
from conductor.tasks.node.live_moves import Connections, at_target
from conductor.tasks.records.live_migration import enter, has_landed, land
from hostler import errors
from hostler.resources import revisions
from hostler.resources.network.port_specs import Groups, members_for, ports_to_unplug
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
_TOLD: Final = "told"  # the server as the target got it when it prepared, in a run's memory


class PrepareTarget(OperationTask):
    """Have the target make room for the guest: network, disks, processor compared. Revert: it removes all of it, unless
    the guest has landed."""

    default_provides = "landing"
    weight = 0

    def execute(self, choice: dict[str, Any], block_migration: bool | None,
                connections: Connections | None = None) -> dict[str, Any]:
        """Return where the guest lands."""
        run, compute = self.run, self.run.cloud.compute

        def begin(session: orm.Session) -> None:
            enter(session, run, migrations.PREPARING)
            # Reports of either host until now are out of date.
            revisions.guest_changes(session, run.resource_id)

        run.write(begin)
        spec, groups = _remember(run, load_spec(run))
        origin = run.ask_host(choice["source"], compute.describe_migration, spec)
        return run.ask_host(choice["host"], compute.prepare_migration, at_target(spec, connections), origin,
                            block_migration, groups)

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove; a host that stays silent cleans up by itself when it returns."""
        with self.run.reading() as session:
            if has_landed(session, self.run):
                return
        tried(f"server {self.run.resource_id} may have left files on host {choice['host']} until that reconciles",
              lambda: _remove(self, choice["host"]))


class SendGuest(OperationTask):
    """Have the source send the guest, and watch it. Revert: abort, wait until it is clear where the guest is, and
    write that: a guest that has arrived stays where it is."""

    def execute(self, choice: dict[str, Any], landing: dict[str, Any]) -> None:
        """Send it; fails when the guest did not leave its source."""
        self.run.write(lambda session: enter(session, self.run, migrations.RUNNING))
        Sending(self.run, choice["source"], landing).follow()

    def revert(self, choice: dict[str, Any], landing: dict[str, Any], connections: Connections | None = None,
               **_: Any) -> None:
        """Settle."""
        run = self.run
        with run.reading() as session:
            if has_landed(session, run):
                return
        if not settle(run, choice["source"]):
            return
        spec, groups = load_spec(run)
        spec = at_target(spec, connections)
        try:
            _compare_disks(run, choice, landing, spec)
            run.ask_host(choice["host"], run.cloud.compute.arrive_server, spec, groups)
        except (errors.AgentError, errors.HostUnreachable) as error:
            LOG.error("server %s is neither at %s nor at %s: %s", run.resource_id, choice["source"], choice["host"],
                      error)
            run.write(lambda session: move(session, run.resource_id, states.ERROR))
            return
        run.write(lambda session: land(session, run, connections))


class TakeOver(OperationTask):
    """Have the target take the guest over, and write that it is there. Revert: nothing to undo."""

    default_provides = "guest"
    no_return = True

    def execute(self, choice: dict[str, Any], landing: dict[str, Any],
                connections: Connections | None = None) -> dict[str, Any]:
        """Return {"power_state"}."""
        run = self.run
        spec, groups = _recall(run)
        spec = at_target(spec, connections)
        _compare_disks(run, choice, landing, spec)
        guest = run.ask_host(choice["host"], run.cloud.compute.arrive_server, spec, groups)

        def switch(session: orm.Session) -> None:
            land(session, run, connections)
            enter(session, run, migrations.POST_MIGRATING)

        run.write(switch)
        tell_late_changes(run, choice["host"], spec)
        return guest


class CleanSource(OperationTask):
    """Have the source remove what it keeps of the server. Revert: nothing to undo."""

    weight = 0
    no_return = True

    def execute(self, choice: dict[str, Any]) -> None:
        """Remove; a host that stays silent cleans up by itself when it returns."""
        tried(f"server {self.run.resource_id} may have left files on host {choice['source']} until that reconciles",
              lambda: _remove(self, choice["source"]))


def _remember(run: Run, told: tuple[ServerSpec, Groups]) -> tuple[ServerSpec, Groups]:
    run.memory[_TOLD] = told
    return told


def _recall(run: Run) -> tuple[ServerSpec, Groups]:
    """As `load_spec`, in two statements where nothing has changed since the target prepared."""
    if _TOLD not in run.memory:
        return load_spec(run)
    spec, groups = run.memory[_TOLD]
    with run.reading() as session:
        if revisions.of_server(session, run.resource_id) != revisions.of_spec(spec):
            return load_spec(run)
        return spec, {**groups, **members_for(session, spec.ports, _known(groups))}


def _known(groups: Groups) -> Mapping[str, int]:
    return {group_id: group["revision"] for group_id, group in groups.items()}


def _compare_disks(run: Run, choice: dict[str, Any], landing: dict[str, Any], spec: ServerSpec) -> None:
    """Have the target compare the disks of a guest that stays paused there until then, as it is configured."""
    if not landing.get("paused"):
        return
    compute = run.cloud.compute
    try:
        sums = run.ask_host(choice["source"], compute.sum_server_disks, spec)
    except errors.HostUnreachable:
        LOG.warning("source %s of server %s stays silent: the disks are not compared", choice["source"],
                    run.resource_id)
        return
    run.ask_host(choice["host"], compute.compare_server_disks, spec, sums)


def _remove(task: OperationTask, host: str) -> None:
    run = task.run
    with run.reading() as session:
        here, ports = ports_to_unplug(session, run.resource_id)
    if here == host:
        raise errors.Internal(f"Server {run.resource_id} is on {host} and must not be removed from there.")
    run.ask_host(host, run.cloud.compute.destroy_server, run.resource_id, ports)
