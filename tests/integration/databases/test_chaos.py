"""A short seeded chaos campaign; the long one is `tools/chaos --faults 1000`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.campaign import Campaign, Plan
from tests.chaos.cloud import ChaosCloud
from tests.harness import backends, databases


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_nothing_is_lost_doubled_or_stuck(database: str, tmp_path: Path) -> None:
    if reason := backends.missing() or databases.missing(database):
        pytest.skip(reason)
    cloud = ChaosCloud(tmp_path, database)
    faults.mount_state(cloud)
    try:
        cloud.start()
        kinds = tuple(fault for fault in faults.FAULTS if faults.missing(fault, cloud) is None)
        campaign = Campaign(cloud, Plan(seed=1, faults=12, kinds=kinds))
        campaign.run()
    finally:
        cloud.stop()
        faults.unmount_state(cloud)
    print(campaign.table())
    assert not campaign.violations
