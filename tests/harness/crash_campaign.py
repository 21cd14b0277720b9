"""The crash campaign's machinery: arm a point, do a change, let the process die, see it come back, see what is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import sqlalchemy as sa

from hostler.db.models import Operation
from hostler.operations import states
from tests.harness import invariants
from tests.harness.backends import shared_broker
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.ports import wait_for

Case = TypeVar("Case")

LAUNCHER = Path(__file__).with_name("crash_launcher.py")
HOST = "host1"
SUCCESSOR = "successor"
_SHARE = 5  # one in so many points is tried
BACKENDS = {"node1": "fake", "node2": "other"}


@dataclasses.dataclass(frozen=True)
class Point:
    """One place to die: in a control service (`<service>`, `<point>`), in a compute agent (`agent` on the first host,
    `host2` on the second, `<step>`) or in the agent of a storage node (`node1` or `node2`, `<step>`)."""

    process: str
    name: str
    skip: int = 0  # how often the step of an agent is passed before

    def __str__(self) -> str:
        return f"{self.process}/{self.name}"


def in_conductor(*names: str) -> list[Point]:
    """Return points in the conductor."""
    return [Point("conductor", name) for name in names]


def around(*names: str) -> list[Point]:
    """Return the points before and after tasks, reverts and calls of the conductor."""
    return in_conductor(*(f"{name}:{side}" for name in names for side in ("before", "after")))


def share_of(cases: Sequence[Case], one_in: int = _SHARE) -> list[Case]:
    """Return all cases with HOSTLER_CRASHES=all, else a share of them that HOSTLER_SEED chooses."""
    count = len(cases) if os.environ.get("HOSTLER_CRASHES") == "all" else math.ceil(len(cases) / one_in)
    chosen = sorted(random.Random(os.environ.get("HOSTLER_SEED", "1")).sample(range(len(cases)), count))
    return [cases[number] for number in chosen]


def each(points: Sequence[Point]) -> pytest.MarkDecorator:
    """Run a test for each point, or for a share of them."""
    return pytest.mark.parametrize("point", share_of(points), ids=str)


def conductor_points(flow_tasks: Sequence[str], rpcs: Sequence[str]) -> list[Point]:
    """Return a flow's points in the conductor: claim, tasks, calls, end."""
    return [*in_conductor("claim:after"), *around(*flow_tasks, *(f"rpc.{rpc}" for rpc in rpcs), "finish")]


def api_points(*, wake: bool = True) -> list[Point]:
    """Return a request's points in the api: its transaction and, unless said otherwise, its wake-up, which is the same
    code for every request."""
    names = ("commit:before", "commit:after", *(("wake:before", "wake:after") if wake else ()))
    return [Point("api", name) for name in names]


def agent_points(*steps: str) -> list[Point]:
    """Return points in the compute agent."""
    return [Point("agent", step) for step in steps]


def volume_points(*steps: str, node: str = "node1") -> list[Point]:
    """Return points in a volume agent."""
    return [Point(node, step) for step in steps]


def choice_points(method: str, process: str = "conductor") -> list[Point]:
    """Return the points before a choice of hosts or back ends and after its claim, in the process that chooses."""
    return [Point(process, f"{method}:{side}") for side in ("before", "after")]


def points_of(flow_tasks: list[str], rpcs: list[str], agent_steps: list[str]) -> list[Point]:
    """Return every point a flow passes."""
    return [*conductor_points(flow_tasks, rpcs), *api_points(),
            *(choice_points("select_host") if "SelectHost" in flow_tasks else []), *agent_points(*agent_steps)]


class Campaign:
    """A fleet whose processes come back when they die, armed with crash points: fake hosts and, with `volumes`, two
    storage nodes with a fake back end each (`BACKENDS`); with `successor`, a second conductor; with `scheduler`, one
    apart, which conductors ask over the bus."""

    def __init__(self, directory: Path, *, hosts: int = 1, volumes: bool = False, successor: bool = False,
                 scheduler: bool = False, overrides: dict[str, dict[str, Any]] | None = None) -> None:
        self._successor = successor
        nodes, broker = len(BACKENDS) if volumes else 0, next(shared_broker())
        self.fleet = Fleet(directory, hosts=hosts, nodes=nodes, scheduler=scheduler, broker=broker, overrides={
            "all": {"DEFAULT": {"service_down_time": 30}, "identity": {"password_rounds": 4},
                    "bus": {"silence_timeout": 2}, "conductor": {"retry_delay": 0.2}},
            SUCCESSOR: {"DEFAULT": {"state_path": directory / "shared"}},
            "compute": {"compute": {"reconcile_interval": 5}},
            "volume": {"volume": {"reconcile_interval": 5}},
            **{node: {"volume": {"enabled_backends": name}, f"backend:{name}": {"driver": "fake"}}
               for node, name in BACKENDS.items()}, **(overrides or {})})
        self.controls = {name: directory / f"{name}.crash" for name in (*self.fleet.control, *self._agents())}
        self.faults = {**{"agent" if host == HOST else host: directory / host / "compute" / "fake" / "faults.json"
                          for host in self.fleet.hosts},
                       **{node: directory / node / "volume" / "fake" / "faults.json" for node in BACKENDS}}

    def _agents(self) -> dict[str, str]:
        """Return agent → its service."""
        return {**dict.fromkeys(self.fleet.hosts, "compute"), **dict.fromkeys(self.fleet.nodes, "volume")}

    def start(self) -> Client:
        """Start everything; returns an administrator's client."""
        self.fleet.prepare()
        for name, control in self.controls.items():
            service = self._agents().get(name, name)
            self.fleet.add(name, service, launcher=[sys.executable, str(LAUNCHER), service, str(control)])
        if self._successor:
            # Either may take an operation up; whichever comes to the point removes the control file.
            self.fleet.write_config(SUCCESSOR, "conductor", host=SUCCESSOR)
            self.fleet.add(SUCCESSOR, "conductor", launcher=[
                sys.executable, str(LAUNCHER), "conductor", str(self.controls["conductor"])])
        self.client = self.fleet.start()
        self.db = self.fleet.database()
        return self.client

    def stop(self) -> None:
        """End everything."""
        if hasattr(self, "db"):
            self.db.dispose()
        self.fleet.kill()  # fakes leave nothing behind that an orderly end would remove

    @property
    def deaths(self) -> int:
        """How many processes died so far."""
        counts = (control.with_name(f"{control.name}.deaths") for control in self.controls.values())
        return sum(count.stat().st_size for count in counts if count.exists())

    def arm(self, point: Point, *, failing: Sequence[Point] = ()) -> None:
        """Make the next process that reaches `point` die there; until `disarm` the agents' steps `failing` fail."""
        orders: dict[str, list[dict[str, Any]]] = {process: [] for process in self.faults}
        for step in failing:
            orders[step.process].append({"step": step.name, "action": "fail", "times": 0, "skip": step.skip})
        if point.process in orders:
            orders[point.process].append({"step": point.name, "action": "crash"})
        else:
            self.controls[point.process].write_text(point.name)
        for process, wanted in orders.items():
            if wanted:
                self.faults[process].parent.mkdir(parents=True, exist_ok=True)
                draft = self.faults[process].with_suffix(".new")
                draft.write_text(json.dumps(wanted))
                draft.replace(self.faults[process])

    def disarm(self) -> None:
        """Take back what did not fire."""
        for path in (*self.faults.values(), *self.controls.values()):
            path.unlink(missing_ok=True)

    def wait_death(self, before: int, timeout_s: float = 60) -> bool:
        """Wait until a process died since there were `before` deaths; False when none does."""
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: self.deaths > before, "a death", timeout_s)
        return self.deaths > before

    def wait_whole(self) -> None:
        """Wait until the api answers; tests wait for the others when they need them."""
        wait_for(lambda: patient(lambda: self.client.get("/compute/v2.1/flavors")), "the api")

    def survive(self, point: Point, request: Callable[[], requests.Response], *, failing: Point | None = None
                ) -> requests.Response | None:
        """Make a request while `point` is armed and wait for the death; returns the answer, None when the api died
        before it could give one."""
        deaths = self.deaths
        self.arm(point, failing=[failing] if failing is not None else [])
        answer = patient(request)
        assert answer is None or answer.status_code < 400, f"{answer.status_code}: {answer.text}"
        assert self.wait_death(deaths), f"nothing passed {point}"
        self.wait_whole()
        if failing is None:
            self.disarm()
        return answer

    @contextlib.contextmanager
    def zombie(self, point: Point, request: Callable[[], requests.Response], *, failing: Sequence[Point] = ()
               ) -> Iterator[Zombie]:
        """Make a request and wait until a conductor stops at `point`; it is resumed in any case."""
        try:
            made = self._put_to_sleep(point, request, failing)
            try:
                yield made
            finally:
                made.release()
        finally:
            self.disarm()

    def _put_to_sleep(self, point: Point, request: Callable[[], requests.Response], failing: Sequence[Point]) -> Zombie:
        asleep = self.controls["conductor"].with_name(f"{self.controls['conductor'].name}.asleep")
        asleep.unlink(missing_ok=True)
        self.arm(dataclasses.replace(point, name=f"sleep {point.name}"), failing=failing)
        asked = _Asked(request)
        try:
            wait_for(asleep.exists, f"a conductor asleep at {point}", 60)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {asked}") from None
        process, operation_id = asleep.read_text().split()
        return Zombie(self, int(process), operation_id, asked)

    def logs(self) -> str:
        """Return what the conductors have logged."""
        return "".join(process.log.read_text() for process in self.fleet.processes.values()
                       if process.service == "conductor")

    def wait_rest(self, timeout_s: float = 60) -> None:
        """Wait until nothing is wrong anywhere; raises AssertionError with what still is."""
        end = time.monotonic() + timeout_s
        while faults := self.find_faults():
            assert time.monotonic() < end, faults
            time.sleep(0.05)

    def find_faults(self) -> list[str]:
        """Return what is wrong now."""
        faults = invariants.database_faults(self.db)
        for host in self.fleet.hosts:
            faults += invariants.host_faults(self.db, host, self.fleet.directory / host)
        for node in self.fleet.nodes:
            faults += invariants.node_faults(self.db, node, self.fleet.directory / node)
        return faults


class _Asked(threading.Thread):
    """A request that is being made; it may wait for the end of the operation."""

    def __init__(self, request: Callable[[], requests.Response]) -> None:
        super().__init__(name="asked")
        self._request = request
        self.answer: requests.Response | None = None
        self.start()

    def run(self) -> None:
        """Make it."""
        self.answer = self._request()

    def __str__(self) -> str:
        return "no answer yet" if self.answer is None else f"answer {self.answer.status_code} {self.answer.text}"


class Zombie:
    """A conductor that was stopped in the middle of an operation, and does not know for how long."""

    def __init__(self, campaign: Campaign, process: int, operation_id: str, asked: _Asked) -> None:
        self._campaign = campaign
        self._process = process
        self._operation_id = operation_id
        self._asked = asked

    def wait_successor(self) -> None:
        """Wait until another conductor has ended the operation, and nothing is left to do."""
        made = self._campaign
        with made.db.reading() as session:
            wait_for(lambda: session.scalar(sa.select(Operation.state).where(
                Operation.id == self._operation_id)) in (states.SUCCEEDED, states.FAILED), "the successor", 90)
        made.disarm()
        self._asked.join(30)
        made.wait_rest(timeout_s=120)  # an agent may be asking the zombie, which takes as long as a call may

    def wake(self) -> None:
        """Let it go on, and wait until it is through with the operation."""
        said = self._said()
        os.kill(self._process, signal.SIGCONT)
        wait_for(lambda: self._said() > said, "the zombie is through", 60)

    def _said(self) -> int:
        return self._campaign.logs().count(f"operation {self._operation_id} ")

    def release(self) -> None:
        """Resume it in any case."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGCONT)


def patient(call: Callable[[], requests.Response]) -> requests.Response | None:
    """Make a request; None when the api died under it."""
    try:
        return call()
    except requests.RequestException:
        return None
