"""The all-in-one is killed again and again with work in it: nothing accepted fails, is lost or is made twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler.db.models import Operation
from hostler.operations import states
from tests.harness import invariants
from tests.harness.allinone import AllInOne
from tests.harness.ports import wait_for

# CI takes a sample; HOSTLER_KILLS=20 is the whole of it.
KILLS = int(os.environ.get("HOSTLER_KILLS", "6"))
SERVERS, VOLUMES = 6, 3  # asked for between two kills
SETTLE_S = 180


@pytest.mark.timeout(1200)
def test_kills_fail_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    print("seed", seed)
    chance = random.Random(seed)
    cloud = AllInOne(tmp_path, {"conductor": {"poll_interval": 0.2}, "database": {"sqlite_synchronous": "NORMAL"}})
    cloud.prepare()
    client = cloud.start()
    image = client.make_image()
    try:
        for number in range(KILLS):
            body = client.server_body(image, f"s{number}", min_count=SERVERS, max_count=SERVERS)
            assert client.post("/compute/v2.1/servers", body).status_code == 202
            for _ in range(VOLUMES):
                assert client.post("/volume/v3/volumes", {"volume": {"size": 1}}).status_code == 202
            time.sleep(chance.uniform(0, 1.0))
            [pid] = cloud.pids()
            os.kill(pid, signal.SIGKILL)
            assert cloud._popen is not None
            cloud._popen.wait(30)
            client = cloud.start()
        db = cloud.database()

        def left() -> int:
            with db.reading() as session:
                return session.scalar(sa.select(sa.func.count()).select_from(Operation).where(
                    Operation.state.in_(states.UNFINISHED))) or 0

        wait_for(lambda: left() == 0, "every operation ended", SETTLE_S, every_s=0.3)
        with db.reading() as session:
            failed = [(row.kind, row.message) for row in session.scalars(
                sa.select(Operation).where(Operation.state == states.FAILED))]
        assert failed == []
        servers = client.get("/compute/v2.1/servers/detail?limit=1000").json()["servers"]
        assert [server["status"] for server in servers] == ["ACTIVE"] * KILLS * SERVERS
        volumes = client.get("/volume/v3/volumes/detail?limit=1000").json()["volumes"]
        assert [volume["status"] for volume in volumes] == ["available"] * KILLS * VOLUMES
        assert invariants.database_faults(db) == []
        assert invariants.host_faults(db, "node1", tmp_path / "state") == []
        db.dispose()
    finally:
        cloud.stop()
