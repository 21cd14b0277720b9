"""What TaskFlow costs a run: `python bench/flows.py`.

The same 1, 3 and 5 empty tasks as a plain loop, by the engine that conductors use (`hostler.flows`), and by TaskFlow's
own loader; milliseconds of processor time a run, all in one process and in turn, so that their ratio holds on any
machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import measure

measure.use_checkout()

from taskflow import engines  # noqa: E402
from taskflow.patterns import linear_flow  # noqa: E402
from taskflow.persistence.backends import impl_memory  # noqa: E402

from conductor.retries import AnotherPlace  # noqa: E402
from hostler import flows  # noqa: E402

ROUNDS: Final = 10
RUNS: Final = 30


class Empty(flows.Task):
    """Does nothing, with an argument and a result as real tasks have."""

    def execute(self, size_gib: int) -> dict[str, Any]:
        """Return something to save."""
        return {"size_gib": size_gib}

    def revert(self, size_gib: int, **_: Any) -> None:
        """Nothing to undo."""


def make_flow(tasks: int) -> linear_flow.Flow:
    """Return a flow like that of a create: `tasks` in a row, tried again elsewhere."""
    flow = linear_flow.Flow("bench", retry=AnotherPlace(3, name="AnotherPlace"))
    return flow.add(*(Empty(name=f"task-{number}", provides=f"result-{number}") for number in range(tasks)))


def ways(tasks: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the ways to run `tasks` tasks."""
    plain = [Empty(name=f"task-{number}") for number in range(tasks)]
    compiled = flows.Compiled(make_flow(tasks))
    yield "loop", lambda: [task.execute(size_gib=1) for task in plain]
    yield "engine", lambda: flows.Engine(compiled, store={"size_gib": 1}).run()
    yield "taskflow_load", lambda: engines.load(make_flow(tasks), engine="serial", store={"size_gib": 1},
                                                backend=impl_memory.MemoryBackend({"deep_copy": False})).run()


def main() -> None:
    """Print the figures."""
    for tasks in (1, 3, 5):
        spent: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for name, run in ways(tasks):
                run()
                before = time.process_time()
                for _ in range(RUNS):
                    run()
                spent.setdefault(name, []).append((time.process_time() - before) / RUNS * 1000)
        for name, figures in spent.items():
            measure.figure(f"flow_{tasks}_tasks/{name}", min(figures), "ms")


if __name__ == "__main__":
    main()
