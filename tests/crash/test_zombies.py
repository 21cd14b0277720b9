"""A conductor stopped (SIGSTOP) past its lease, before a write or within its transaction; its successor completes the
operation; it goes on.

Nothing of what the successor wrote may change. `tests/harness/zombies.py` does the same for every write in one process;
here the processes, the database and the lease are real. A random sample of the points is tried, HOSTLER_ZOMBIES=all
tries all of them; HOSTLER_SEED repeats a choice.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.harness import backends, zombies
from tests.harness.crash_campaign import Campaign, Point
from tests.harness.zombie_scene import ZombieScene

pytestmark = [pytest.mark.timeout(600)]

ALL = [(writes, point) for writes in (*zombies.SERVER_WRITES, *zombies.VOLUME_WRITES, *zombies.EVACUATION_WRITES,
                                      *zombies.OTHER_WRITES) for point in writes.points]
SEED = os.environ.get("HOSTLER_SEED", "1")
HOW_MANY = os.environ.get("HOSTLER_ZOMBIES", "8")
CHOSEN = ALL if HOW_MANY == "all" else random.Random(SEED).sample(ALL, int(HOW_MANY))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZombieScene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    # The database ends the transaction of a process that is stopped; its successor waits for that.
    made = Campaign(tmp_path_factory.mktemp("zombies"), hosts=2, volumes=True, successor=True, overrides={
        "conductor": {"database": {"idle_transaction_timeout": 3, "lock_timeout": 1}},
        "compute": {"compute": {"reconcile_interval": 2, "deletion_policy": "never"},
                    "fake": {"migration_seconds": 3.0}},
        "api": {"compute": {"deletion_policy": "never"}}})
    try:
        yield ZombieScene(made, made.start())
    finally:
        made.stop()


@pytest.mark.parametrize(("writes", "point"), CHOSEN, ids=str)
def test_a_conductor_that_wakes_up_changes_nothing(scene: ZombieScene, writes: zombies.Writes, point: Point) -> None:
    request = scene.prepare(writes.scenario)
    with scene.campaign.zombie(point, request, failing=writes.failing) as zombie:
        zombie.wait_successor()
        before = scene.records()
        zombie.wake()
        scene.campaign.wait_rest()
        assert scene.records() == before


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many points there are."""
    with capsys.disabled():
        print(f"\nzombies: {len(CHOSEN)} of {len(ALL)} points were tried, seed {SEED}")
    assert len(ALL) >= 100
