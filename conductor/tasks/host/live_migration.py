"""Tasks that ask source and target of a live migration, in the order of `conductor.flows.server.live_migration`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any, Final

from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.sending import Sending, settle
from conductor.tasks.host.servers import load_spec, tell_late_changes
from conductor.tasks.node.calls import tried
from conductor.tasks.node.live_moves import Connections, at_target
from conductor.tasks.records.live_migration import enter, has_landed, land
from conductor.tasks.scheduler.targets import ClaimTarget
from hostler import errors
from hostler.db.models import Migration
from hostler.resources import revisions
from hostler.resources.network.port_specs import Groups, members_for, ports_to_unplug
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move
from hostler.resources.server.specs import ServerSpec
from scheduler.rpcapi import Choice, Request

LOG = logging.getLogger(__name__)
# In a run's memory: the spec that its hosts get, what the source says of the guest, and that it has removed its own.
_TOLD: Final = "told"
_ORIGIN: Final = "origin"
_CLEANED: Final = "cleaned"


class ClaimLanding(ClaimTarget):
    """Have the scheduler choose and claim the target, and the source describe the guest while it does; what the server
    holds of its source becomes the migration's.

    Revert: release the target, which is not tried again, and give the source back; when the guest has landed
    nevertheless, release the source.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(name="ClaimTarget", **options)

    def begin(self, session: orm.Session) -> None:
        """Reports of either host until now are out of date."""
        revisions.guest_changes(session, self.run.resource_id)

    def choose(self, migration: Migration, request: Request) -> Choice:
        """Ask both at once: neither needs the other."""
        run = self.run
        with futures.ThreadPoolExecutor(1, "describe-guest") as pool:
            described = pool.submit(_describe, run, str(migration.source_host))
            choice = super().choose(migration, request)
            run.memory[_ORIGIN] = described.result()
        return choice

    def settle(self, session: orm.Session, migration: Migration, choice: Choice) -> None:
        """Write where the migration goes, and that this is being prepared."""
        super().settle(session, migration, choice)
        migrations.move(session, migration.id, migrations.PREPARING)


class PrepareTarget(OperationTask):
    """Have the target make room for the guest: network, disks, processor compared. Revert: it removes all of it, unless
    the guest has landed."""

    default_provides = "landing"
    weight = 0

    def execute(self, choice: dict[str, Any], block_migration: bool | None,
                connections: Connections | None = None) -> dict[str, Any]:
        """Return where the guest lands."""
        run = self.run
        if _ORIGIN not in run.memory:  # taken over, or begun by an earlier release
            self._begin()
            run.memory[_ORIGIN] = _describe(run, choice["source"])
        spec, groups = run.memory[_TOLD]
        origin, ask = run.memory[_ORIGIN], run.ask_host
        if spec.image is None and origin.get("base"):  # the store has it no more: it goes before
            offer = run.ask_host(choice["source"], run.cloud.compute.offer_base, run.resource_id, choice["host"])
            origin, ask = {**origin, "offer": offer}, run.ask_host_to_copy
        return ask(choice["host"], run.cloud.compute.prepare_migration, at_target(spec, connections), origin,
                   block_migration, groups)

    def _begin(self) -> None:
        run = self.run

        def begin(session: orm.Session) -> None:
            enter(session, run, migrations.PREPARING)
            revisions.guest_changes(session, run.resource_id)

        run.write(begin)

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove; a host that stays silent cleans up by itself when it returns."""
        with self.run.reading() as session:
            if has_landed(session, self.run):
                return
        _clean(self.run, choice["host"], lambda: _remove(self.run, choice["host"]))


class SendGuest(OperationTask):
    """Have the source send the guest, and watch it. Revert: abort, wait until it is clear where the guest is, and
    write that: a guest that has arrived stays where it is."""

    def opening(self, session: orm.Session) -> None:
        """Write that the guest is on its way."""
        enter(session, self.run, migrations.RUNNING)

    def execute(self, choice: dict[str, Any], landing: dict[str, Any]) -> None:
        """Send it; fails when the guest did not leave its source."""
        if _TOLD not in self.run.memory and _is_done(self.run):
            return  # who takes over after the next task, which is not announced, need not ask a source that may be gone
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
    """Have the target take the guest over, and write that it is there while the source removes what it keeps: once the
    guest runs at its target, that is of no use to anybody. Revert: nothing to undo."""

    default_provides = "guest"
    no_return = True
    unannounced = True  # the guest is in nobody's hands until its target takes it over

    def execute(self, choice: dict[str, Any], landing: dict[str, Any],
                connections: Connections | None = None) -> dict[str, Any]:
        """Return {"power_state"}."""
        run = self.run
        spec, groups = _recall(run)
        spec = at_target(spec, connections)
        if landing.get("paused") and not _is_done(run):
            _compare_disks(run, choice, landing, spec)
        guest = run.ask_host(choice["host"], run.cloud.compute.arrive_server, spec, groups)

        def switch(session: orm.Session) -> None:
            land(session, run, connections)
            enter(session, run, migrations.POST_MIGRATING)

        if landing.get("paused"):  # who takes over may have to compare the source's disks again
            run.write(switch)
        else:
            with futures.ThreadPoolExecutor(1, "clean-source") as pool:
                cleaned = pool.submit(_clean, run, choice["source"], lambda: run.ask_host(
                    choice["source"], run.cloud.compute.destroy_server, run.resource_id, spec.ports))
                run.write(switch)
                cleaned.result()
            run.memory[_CLEANED] = True
        tell_late_changes(run, choice["host"], spec)
        return guest


class CleanSource(OperationTask):
    """Have the source remove what it keeps of the server, unless it did while the records were written. Revert: nothing
    to undo."""

    weight = 0
    no_return = True
    unannounced = True

    def execute(self, choice: dict[str, Any]) -> None:
        """Remove; a host that stays silent cleans up by itself when it returns."""
        if _CLEANED not in self.run.memory:
            _clean(self.run, choice["source"], lambda: _remove(self.run, choice["source"]))


def _describe(run: Run, source: str) -> dict[str, Any]:
    """Return what the source says of the guest; what it was told is in the run's memory."""
    run.memory[_TOLD] = load_spec(run)
    return run.ask_host(source, run.cloud.compute.describe_migration, run.memory[_TOLD][0])


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


def _is_done(run: Run) -> bool:
    """Return whether an interrupted run had the target take over: the source may have no disks any more."""
    with run.reading() as session:
        return has_landed(session, run)


def _clean(run: Run, host: str, remove: Callable[[], None]) -> None:
    tried(f"server {run.resource_id} may have left files on host {host} until that reconciles", remove)


def _remove(run: Run, host: str) -> None:
    with run.reading() as session:
        here, ports = ports_to_unplug(session, run.resource_id)
    if here == host:
        raise errors.Internal(f"Server {run.resource_id} is on {host} and must not be removed from there.")
    run.ask_host(host, run.cloud.compute.destroy_server, run.resource_id, ports)
