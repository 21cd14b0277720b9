"""A volume type that asked for the vendor or the pool that get_pools shows fitted no back end, and no pool of the list.

Its volumes ended in error.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler import clock
from scheduler.backend_filters.capabilities import Capabilities
from scheduler.backend_request import BackendRequest
from scheduler.backend_states import read_backends
from scheduler.backend_uses import BackendUses
from tests.harness.volume_core import Cloud
from tests.harness.volume_rest import prepare


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return prepare(tmp_path)


def test_every_published_name_can_be_asked_for(cloud: Cloud) -> None:
    shown = cloud.get("/scheduler-stats/get_pools?detail=True", token="admin")["pools"][0]
    for name in ("vendor_name", "pool_name", "volume_backend_name"):
        wanted = {name: shown["capabilities"][name]}
        cloud.volume_type(name, extra_specs=wanted)
        found = cloud.get(f"/scheduler-stats/get_pools?volume_type={name}", token="admin")["pools"]
        assert shown["name"] in [pool["name"] for pool in found]
        with cloud.services.db.reading() as session:
            backends = read_backends(session, clock.utcnow(), 60, BackendUses())
        passing = [one for one in backends if Capabilities().passes(
            BackendRequest(volume_id="v", size_gib=1, extra_specs=wanted), one, backends)]
        assert shown["name"] in [f"{one.node}@{one.name}#{one.name}" for one in passing]
