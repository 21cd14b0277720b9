"""The task that keeps a server's old host from its disks before they are used elsewhere."""

from __future__ import annotations

import logging
import shlex
import subprocess

from sqlalchemy import orm

from conductor import fencing
from conductor.run import HandOver, Run
from conductor.tasks.base import OperationTask
from conductor.tasks.records.migrations import migration_in
from hostler import errors
from hostler.db.models import Server
from hostler.resources.server import migrations

LOG = logging.getLogger(__name__)
_LOOK_AGAIN_S = 2.0


class FenceHost(OperationTask):
    """Wait until the server's old host can write none of its disks. Revert: nothing to undo, it may report again."""

    def execute(self) -> None:
        """Check, wait, have it fenced; raises Conflict when the host is up again or the server is elsewhere."""
        run = self.run
        with run.reading() as session:
            server = session.get(Server, run.resource_id)
            migration = migration_in(session, run)
            if server is None or server.deleted_at is not None:
                raise errors.NotFound(resource="Instance", id=run.resource_id)
            if server.host_id is None or server.host_id != migration.source_host_id:
                raise errors.Conflict(reason=f"Instance {server.id} is not on host {migration.source_host} any more.")
            host, present = fencing.load(session, server.host_id)
            down = fencing.is_down(host, present, run.conf.service_down_time)
            danger = fencing.danger_of(host, present) if fencing.shares_disks(session, server.id, host) else None
        if not down:
            raise _in_use(host.name)
        if danger is not None:
            wait_for_fence(run, host.name, danger)

        def work(session: orm.Session) -> bool:
            migrations.move(session, migration.id, migrations.PRE_MIGRATING)
            return fencing.close(session, host.id, run.conf.service_down_time)

        if not run.write(work):
            raise _in_use(host.name)


def wait_for_fence(run: Run, host: str, danger: fencing.Danger) -> None:
    """Return when the fence command succeeds; else hand over until the host may be fenced.

    Without a way to fence the host it waits as long as for any silent host, and then raises Conflict.
    """
    command = run.conf.compute.fence_command
    if command and _fence(command, host, run.conf.compute.fence_timeout):
        return
    if danger.wait_s is None:
        run.wait_for_help(f"the fence of {host}", errors.Conflict(reason=f"Not evacuated: {danger.reason}."))
    raise HandOver(reason=danger.reason, delay_s=min(danger.wait_s, _LOOK_AGAIN_S), waiting_for=f"the fence of {host}")


def _fence(command: str, host: str, timeout_s: float) -> bool:
    words = [word.replace("{host}", host) for word in shlex.split(command)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        LOG.error("The fence command for host %s failed: %s", host, error)
        return False
    if done.returncode:
        LOG.error("The fence command for host %s failed with status %d: %s", host, done.returncode,
                  done.stderr.strip()[-500:])
        return False
    LOG.warning("Host %s was fenced by command", host)
    return True


def _in_use(host: str) -> errors.HostlerError:
    return errors.Conflict(reason=f"Compute service of {host} is still in use.")
