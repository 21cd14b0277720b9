"""Keeps a service with crash points running: `crash_launcher.py <service> <control file> --config-file …`.

The product has no hooks for this. The control file holds one point's name; the process that reaches that point
removes the file and kills itself with SIGKILL, so a point fires once.

With `sleep <point>` in it the process stops there instead (SIGSTOP), and writes its id and that of the operation into
`<control file>.asleep`.

Points: `<Task>:before|after`, `<Task>:write|commit` (before each transaction of its own, and before that is committed),
the same as `revert.<Task>:…`, `end:write|commit` (of the transaction that ends the operation),
`<module>:before|after` (in the transaction that accepts what became due by itself; `confirmations`, `host_failures`),
`rpc.<method>:before|after`, `claim:after`, `finish:before|after` (around the operation's last commit),
`commit:before|after` (a request's transaction in the api), `select_host:before|after` and `select_backends:…` (around a
choice with its claim, in the process that chooses: the conductor, or a scheduler apart).
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import functools
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SERVICE, CONTROL = sys.argv[1], Path(sys.argv[2])
_PR_SET_PDEATHSIG = 1


def reach(point: str, operation_id: str = "") -> None:
    """Die here if this is the chosen point, or sleep."""
    try:
        wanted = CONTROL.read_text()
    except FileNotFoundError:
        return
    if wanted == point:
        CONTROL.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    elif wanted == f"sleep {point}":
        CONTROL.unlink()
        draft = CONTROL.with_name(f"{CONTROL.name}.draft")
        draft.write_text(f"{os.getpid()} {operation_id}")
        draft.replace(CONTROL.with_name(f"{CONTROL.name}.asleep"))
        # To this thread, which stops here then; one to the process lets it run on until another thread has taken it.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def around(owner: Any, name: str, before: Callable[..., str | None], after: Callable[..., str | None]) -> None:
    """Replace a function by one that passes crash points around it."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if (point := before(*args, **kwargs)) is not None:
            reach(point)
        result = original(*args, **kwargs)
        if (point := after(*args, **kwargs)) is not None:
            reach(point)
        return result

    setattr(owner, name, wrapped)


def nowhere(*_args: Any, **_kwargs: Any) -> None:
    """No crash point."""


def arm_conductor() -> None:
    """Points in flows, at RPC, and at the operation's beginning and end."""
    runner = importlib.import_module("conductor.engine.runner")
    base = importlib.import_module("conductor.tasks.base")
    run = importlib.import_module("conductor.run")
    bus = importlib.import_module("hostler.bus")
    lease = importlib.import_module("hostler.operations.lease")
    task = base.OperationTask
    step = threading.local()

    def begin(self: Any, undoing: str) -> None:
        step.name = undoing + self.name

    around(task, "pre_execute", lambda self: begin(self, ""), lambda self: f"{self.name}:before")
    around(task, "post_execute", nowhere, lambda self: f"{self.name}:after")
    around(task, "pre_revert", lambda self: begin(self, "revert."), lambda self: f"revert.{self.name}:before")
    around(task, "post_revert", nowhere, lambda self: f"revert.{self.name}:after")
    arm_writes(run.Run, step)
    for name in ("confirmations", "host_failures"):
        around(importlib.import_module(f"conductor.{name}"), "_accept", lambda *_args, name=name, **_: f"{name}:before",
               lambda *_args, name=name, **_: f"{name}:after")
    around(bus.Peer, "call", lambda _self, _context, method, *_: f"rpc.{method}:before",
           lambda _self, _context, method, *_: f"rpc.{method}:after")
    around(lease, "claim", nowhere, lambda *_args, **_: "claim:after")
    around(lease, "free", nowhere, lambda *_args, **_: "finish:before")
    around(runner.Runner, "_end_succeeded", nowhere, lambda *_args: "finish:after")
    around(runner.Runner, "_end_failed", nowhere, lambda *_args: "finish:after")
    arm_choices()


def arm_writes(run: Any, step: Any) -> None:
    """Points before each transaction of a run, named after its step or `end`, and before its commit."""
    session = importlib.import_module("sqlalchemy.orm").Session
    write, end, commit = run.write, run.end, session.commit

    def in_step(self: Any, work: Any, **options: Any) -> Any:
        with writing(self, getattr(step, "name", "")):
            return write(self, work, **options)

    def at_end(self: Any, work: Any) -> Any:
        if getattr(step, "writing", None):
            return end(self, work)
        with writing(self, "end"):
            return end(self, work)

    @contextlib.contextmanager
    def writing(self: Any, name: str) -> Iterator[None]:
        step.writing = name, self.held.id
        try:
            reach(f"{name}:write", self.held.id)
            yield
        finally:
            step.writing = None

    def before_commit(self: Any) -> None:
        if (now := getattr(step, "writing", None)) is not None:
            self.flush()
            reach(f"{now[0]}:commit", now[1])
        commit(self)

    run.write, run.end, session.commit = in_step, at_end, before_commit


def arm_api() -> None:
    """Points around a request's transaction and its wake-up."""
    orm = importlib.import_module("sqlalchemy.orm")
    wake = importlib.import_module("api.wake")

    def in_request(point: str) -> Callable[..., str | None]:
        return lambda *_args, **_: point if threading.current_thread().name.startswith("http") else None

    around(orm.Session, "commit", in_request("commit:before"), in_request("commit:after"))
    around(wake.Waker, "wake", lambda *_args: "wake:before", lambda *_args: "wake:after")


def arm_choices() -> None:
    """Points around a choice with its claim, whichever way it was asked for."""
    manager = importlib.import_module("scheduler.manager").SchedulerManager
    for method, point in (("choose", "select_host"), ("choose_backends", "select_backends")):
        around(manager, method, lambda *_args, point=point, **_: f"{point}:before",
               lambda *_args, point=point, **_: f"{point}:after")


def arm_clock() -> None:
    """Let `<control file>.clock` shift this process's wall clock by so many seconds, as a bad time server does."""
    shift = CONTROL.with_name(f"{CONTROL.name}.clock")
    if not shift.exists():
        return
    clock = importlib.import_module("hostler.clock")
    utcnow, wall = clock.utcnow, time.time
    clock.utcnow = lambda: utcnow() + datetime.timedelta(seconds=float(shift.read_text() or 0))
    time.time = lambda: wall() + float(shift.read_text() or 0)


def arm_agent() -> None:
    """Nothing: agents with fake parts know their steps and die there on order (`hostler.agent.faults`)."""


ARM = {"conductor": arm_conductor, "api": arm_api, "scheduler": arm_choices}


class Supervisor:
    """Keeps one life of the service running. A life is a fork of this process, which has imported all it needs, so
    that a campaign does not wait for imports hundreds of times; each death adds a byte to `<control file>.deaths`."""

    def __init__(self, serve: Callable[[], None]) -> None:
        self._serve = serve
        self._child = 0
        self._stopping = False
        signal.signal(signal.SIGTERM, self._stop)

    def run(self) -> None:
        """Restart it whenever it dies, until stopped."""
        deaths = CONTROL.with_name(f"{CONTROL.name}.deaths")
        while not self._stopping:
            self._child = os.fork()
            if self._child == 0:
                self._live()
            status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
            if status in (-signal.SIGKILL, 137):
                with deaths.open("ab") as stream:
                    stream.write(b".")
            elif not self._stopping:
                time.sleep(0.5)  # it could not start: what it needs is not there yet

    def _live(self) -> None:
        # With its keeper killed, the service must not go on alone.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._stopping:
            os._exit(0)
        status = 1
        try:
            self._serve()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except Exception:  # noqa: BLE001 - the process ends here
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        if self._child:
            os.kill(self._child, signal.SIGTERM)


def main() -> None:
    """Import, arm, and keep it alive."""
    command = importlib.import_module(f"hostler.cmd.{SERVICE}")
    ARM.get(SERVICE, arm_agent)()
    arm_clock()
    sys.argv = [f"hostler-{SERVICE}", *sys.argv[3:]]
    if threading.active_count() != 1:
        raise RuntimeError("Something started a thread while it was imported: that does not survive a fork.")
    Supervisor(command.main).run()


main()
