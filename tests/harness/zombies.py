"""A conductor that sleeps past its lease before a write, and wakes up when its successor has finished.

`SERVER_WRITES`, `VOLUME_WRITES`, `EVACUATION_WRITES` and `OTHER_WRITES` say which steps write in which scenarios.
Unit tests put a run to sleep before each of those writes in one process, as here (not `OTHER_WRITES`);
`tests/crash/test_zombies.py` stops a real conductor there.

>>> seen = tried_writes(make_rig, scenario, faults=(2,))     # {"SelectHost.revert", "AssignHost.execute", …}

For every write of the run in turn: the run is stopped before it, its lease ends, another conductor takes the operation
over and completes it, the run goes on. Nothing in the database may change, and no agent may be asked any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any
from unittest import mock

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks import base
from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Base
from tests.harness.crash_campaign import Point


@dataclasses.dataclass(frozen=True)
class Writes:
    """A scenario, by its name, and the steps that write in it when some calls to agents fail.

    The failing calls are numbers for the scripted agents of unit tests (`faults`), steps of the fake agents elsewhere.
    """

    scenario: str
    writers: frozenset[str] = frozenset()
    faults: tuple[int, ...] = ()
    failing: tuple[Point, ...] = ()

    def __str__(self) -> str:
        return f"failed-{self.scenario}" if self.failing else self.scenario

    @property
    def points(self) -> list[Point]:
        """Before and within each transaction of each writer, and of the one that ends the operation."""
        steps = [("revert." if writer.endswith(".revert") else "") + writer.partition(".")[0]
                 for writer in sorted(self.writers)]
        return [Point("conductor", f"{step}:{where}") for step in (*steps, "end") for where in ("write", "commit")]


def _writes(scenario: str, writers: str = "", faults: tuple[int, ...] = (), *failing: str, skip: int = 0) -> Writes:
    """`skip` is for the last of `failing`."""
    points = [Point(*step.split("/")) for step in failing]
    if points:
        points[-1] = dataclasses.replace(points[-1], skip=skip)
    return Writes(scenario, frozenset(writers.split()), faults, tuple(points))


_BOOT = "AssignHost.execute FillVolumes.execute ConnectVolumes.execute"
SERVER_WRITES = [
    _writes("attach", "ConnectVolume.execute"),
    _writes("attach", "ConnectVolume.execute ConnectVolume.revert", (1,), "agent/driver.attach_volume:before"),
    _writes("detach", "DisconnectVolume.revert", (1,), "node1/volume.disconnect:before"),
    _writes("detach"),
    _writes("delete", "LockVolumes.execute"),
    _writes("boot", _BOOT),
    _writes("boot", f"{_BOOT} SpawnServer.execute ConnectVolumes.revert AssignHost.revert SelectHost.revert "
                    "PlaceVolumes.revert", (3,), "agent/driver.create:before"),
]
VOLUME_WRITES = [
    _writes("create"),
    _writes("create_from_volume", "CreateVolume.execute CreateVolume.revert SelectBackend.revert", (0, 1),
            "node1/volume.clone_volume:middle", "node1/volume.delete_volume:before"),
    _writes("create_from_snapshot"),
    _writes("create_from_backup"),
    _writes("delete_volume"),
    _writes("delete_with_snapshots"),
    _writes("extend"),
    _writes("upload"),
    _writes("retype_with_move", "SwitchRecord.execute RemoveSource.execute"),
    _writes("migrate", "CopyVolume.revert ChooseTarget.revert", (3, 4),
            "node2/volume.create_volume:middle", "node2/volume.delete_volume:before", skip=1),
    _writes("revert"),
    _writes("reimage"),
    _writes("create_snapshot"),
    _writes("delete_snapshot"),
    _writes("create_backup", "AssignStore.execute"),
    _writes("delete_backup"),
    _writes("restore_backup"),
    _writes("connect", "ConnectAttachment.execute"),
    _writes("connect", "ConnectAttachment.revert", (0,), "node1/volume.connect:before"),
    _writes("disconnect"),
]
_EVACUATION = "FenceHost.execute LockVolumes.execute ClaimTarget.execute MoveConnections.execute RebuildServer.execute"
EVACUATION_WRITES = [
    _writes("evacuate", _EVACUATION),
    _writes("evacuate", f"{_EVACUATION} MoveConnections.revert ClaimTarget.revert", (2,),
            "host2/driver.create:before"),
]
_LIVE = "LockVolumes.execute ClaimTarget.execute"
_MOVE = "ClaimTarget.execute SetServerAside.execute SwitchToTarget.execute"
# Without a scenario in the unit tests of flows with volumes.
OTHER_WRITES = [
    _writes("rebuild", "RebuildServer.execute"),
    _writes("create_image"),
    _writes("rebuild_of_a_volume", "StopServer.execute ConnectVolume.execute RebuildServer.execute"),
    _writes("image_of_volumes", "SnapshotVolumes.execute"),
    _writes("create_server_backup"),
    _writes("rescue", "RescueServer.execute"),
    _writes("unrescue", "UnrescueServer.execute"),
    _writes("shelve", "SwitchOff.execute"),
    _writes("unshelve", "AssignHost.execute"),
    _writes("soft_delete", "SwitchOff.execute"),
    _writes("restore", "SwitchOn.execute"),
    _writes("attach_interface"),
    _writes("detach_interface"),
    _writes("change_password"),
    _writes("crash_dump"),
    _writes("resize", _MOVE),
    _writes("resize", f"{_MOVE} SwitchToTarget.revert ClaimTarget.revert", (), "agent/take_in.files"),
    _writes("confirm"),
    _writes("revert_resize", "SwitchToSource.execute"),
    _writes("migrate_server", f"{_MOVE} MoveConnections.execute"),
    _writes("migrate_server", f"{_MOVE} MoveConnections.execute MoveConnections.revert SwitchToTarget.revert "
                              "ClaimTarget.revert", (), "host2/take_in.files"),
    _writes("confirm_migration"),
    _writes("revert_migration", "SwitchToSource.execute MoveConnections.execute"),
    _writes("live_migrate", f"{_LIVE} TakeOver.execute"),
    _writes("live_migrate", f"{_LIVE} ClaimTarget.revert", (), "agent/driver.send:copy"),
    _writes("drain", "MoveServersAway.execute"),
    _writes("boot_from_image", "AssignHost.execute"),
    _writes("stop", "StopServer.execute"),
    _writes("start", "StartServer.execute"),
    _writes("pause", "PauseServer.execute"),
    _writes("rename"),
    _writes("rules"),
    _writes("network"),
]


def snapshot(db: Database) -> dict[str, list[str]]:
    """Return every row of every table."""
    with db.reading() as session:
        return {table.name: sorted(repr(tuple(row)) for row in session.execute(sa.select(table)))
                for table in Base.metadata.sorted_tables}


class Sleeper:
    """Stops the run before its write `number` (from 0); `name` is the step that wrote, None when there was none."""

    def __init__(self, rig: Any, operation_id: str, number: int, *, fenced: bool = True) -> None:
        self.name: str | None = None
        self._rig = rig
        self._operation_id = operation_id
        self._left = number
        self._fenced = fenced
        self._step = ""
        self._after: tuple[dict[str, list[str]], list[str]] | None = None

    def run(self) -> None:
        """Run the operation until the sleeper has been awake again."""
        original = Run.write

        def write(run: Run, work: Callable[[Any], Any], *, beside: Any = None) -> Any:
            if self.name is None:
                self._left -= 1
                if self._left < 0:
                    self._sleep()
            if self._fenced:
                return original(run, work, beside=beside)

            def unfenced(session: Any) -> Any:
                if beside is not None:
                    session.connection().execute(*beside)
                return work(session)

            return run.end(unfenced)

        with mock.patch.object(Run, "write", write), _steps(self._note), suppress(Exception):
            self._rig.run(self._operation_id)
        if self._after is not None:
            now = snapshot(self._rig.db), list(self._rig.nodes.calls)
            assert now == self._after, f"{self.name} changed something"

    def _note(self, step: str) -> None:
        if self.name is None:
            self._step = step

    def _sleep(self) -> None:
        self.name = self._step
        self._rig.let_pass(self._operation_id)
        self._rig.finish(self._operation_id)
        self._after = snapshot(self._rig.db), list(self._rig.nodes.calls)


def _steps(note: Callable[[str], None]) -> Any:
    """Tell `note` the name of each task's step that begins."""
    before, undo = base.OperationTask.pre_execute, base.OperationTask.pre_revert

    def pre_execute(task: base.OperationTask) -> None:
        note(f"{type(task).__name__}.execute")
        before(task)

    def pre_revert(task: base.OperationTask) -> None:
        note(f"{type(task).__name__}.revert")
        undo(task)

    return mock.patch.multiple(base.OperationTask, pre_execute=pre_execute, pre_revert=pre_revert)


def tried_writes(make_rig: Callable[[], Any], scenario: Callable[[Any], str], *,
                 faults: Collection[int] = ()) -> set[str]:
    """Return the steps that wrote, after putting each to sleep before each of its writes.

    `faults` are the numbers of the agents' calls that fail.
    """
    seen: set[str] = set()
    for number in range(20):
        rig = make_rig()
        try:
            operation_id = scenario(rig)
            for call in faults:
                rig.nodes.faults[call] = ("after", errors.AgentError(reason="The disk is broken."))
            sleeper = Sleeper(rig, operation_id, number)
            sleeper.run()
        finally:
            rig.close()
        if sleeper.name is None:
            return seen
        seen.add(sleeper.name)
    raise AssertionError("the operation writes for ever")


def run_without_fence(rig: Any, operation_id: str, number: int) -> None:
    """As a sleeper before write `number`, where writes are not fenced: fails, or the others prove nothing."""
    Sleeper(rig, operation_id, number, fenced=False).run()
