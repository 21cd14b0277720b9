"""The crash campaign's machinery: arm a point, do a change, let the process die, bring it back, see what is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import threading
import time
from pathlib import Path

import requests

from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.ports import wait_for

LAUNCHER = Path(__file__).with_name("launcher.py")
CONTROL_SERVICES = ("conductor", "api", "scheduler")
HOST = "host1"


@dataclasses.dataclass(frozen=True)
class Point:
    """One place to die: in a control service (`<service>`, `<point>`) or in the agent (`agent`, `<step>`)."""

    process: str
    name: str

    def __str__(self) -> str:
        return f"{self.process}/{self.name}"


def points_of(flow_tasks: list[str], rpcs: list[str], agent_steps: list[str]) -> list[Point]:
    """Return every point a flow passes."""
    conductor = ["claim:after", *(f"{task}:{side}" for task in flow_tasks for side in ("before", "after")),
                 *(f"rpc.{rpc}:{side}" for rpc in rpcs for side in ("before", "after")),
                 "finish:before", "finish:after"]
    api = ["commit:before", "commit:after", "wake:before", "wake:after"]
    scheduler = ["select:before", "select:after"] if "select_host" in rpcs else []
    return [*(Point("conductor", name) for name in conductor), *(Point("api", name) for name in api),
            *(Point("scheduler", name) for name in scheduler), *(Point("agent", name) for name in agent_steps)]


class Campaign:
    """A fleet with armed launchers, one fake host, and a keeper that restarts what died."""

    def __init__(self, directory: Path) -> None:
        self.fleet = Fleet(directory, hosts=1, overrides={
            "all": {"DEFAULT": {"service_down_time": 30}}, "compute": {"compute": {"reconcile_interval": 5}}})
        self.controls = {service: directory / f"{service}.crash" for service in CONTROL_SERVICES}
        self.faults = directory / HOST / "compute" / "fake" / "faults.json"
        self.deaths = 0
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> Client:
        """Start everything; returns an administrator's client."""
        self.fleet.prepare()
        for service in CONTROL_SERVICES:
            self.fleet.add(service, service, launcher=[sys.executable, str(LAUNCHER), service,
                                                       str(self.controls[service])])
        self.fleet.add(HOST, "compute")
        client = self.fleet.start()
        self._keeper.start()
        return client

    def stop(self) -> None:
        """Stop everything."""
        self._stop.set()
        self._keeper.join(timeout=10)
        self.fleet.stop()

    def _keep(self) -> None:
        while not self._stop.wait(0.1):
            for process in self.fleet.processes.values():
                if not process.is_running() and not self._stop.is_set():
                    self.deaths += 1
                    if process.name == HOST:
                        self.faults.unlink(missing_ok=True)
                    process.start()

    def arm(self, point: Point, *, build_fails: bool = False) -> None:
        """Make the next process that reaches `point` die there; `build_fails` lets no guest start meanwhile."""
        orders = [{"step": "driver.create:before", "action": "fail", "times": 0}] if build_fails else []
        if point.process == "agent":
            orders.append({"step": point.name, "action": "crash"})
        else:
            self.controls[point.process].write_text(point.name)
        if orders:
            self.faults.parent.mkdir(parents=True, exist_ok=True)
            draft = self.faults.with_suffix(".new")
            draft.write_text(json.dumps(orders))
            draft.replace(self.faults)

    def disarm(self) -> None:
        """Take back what did not fire."""
        self.faults.unlink(missing_ok=True)
        for control in self.controls.values():
            control.unlink(missing_ok=True)

    def wait_death(self, before: int, timeout_s: float = 20) -> bool:
        """Wait until a process died since there were `before` deaths; False when none does."""
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: self.deaths > before, "a death", timeout_s)
        return self.deaths > before

    def wait_whole(self) -> None:
        """Wait until every process lives and the api answers."""
        client = self.fleet.client()
        wait_for(lambda: all(process.is_running() for process in self.fleet.processes.values()), "all processes")
        wait_for(client.try_login, "the api")

    def wait_rest(self, timeout_s: float = 60) -> None:
        """Wait until nothing is wrong anywhere; raises AssertionError with what still is."""
        db = self.fleet.database()
        end = time.monotonic() + timeout_s
        try:
            while True:
                faults = invariants.database_faults(db)
                faults += invariants.host_faults(db, HOST, self.fleet.directory / HOST)
                if not faults:
                    return
                assert time.monotonic() < end, faults
                time.sleep(0.2)
        finally:
            db.dispose()


def patient(call: object, timeout_s: float = 60) -> requests.Response | None:
    """Make a request; None when the api died under it."""
    try:
        return call()  # type: ignore[operator]
    except requests.RequestException:
        return None
