"""Of two hosts that reported for the first time in the same moment one was registered with its next heartbeat alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from conductor import heartbeats
from hostler.db.models import Host
from tests.harness.conductor_rig import Rig

_REPORT: dict[str, Any] = {
    "hypervisor_type": "QEMU", "hypervisor_version": 7002000, "host_ip": "192.0.2.2", "vcpus": 4, "ram_mib": 1024,
    "disk_gib": 10, "ratios": {"cpu": 1.0, "ram": 1.0, "disk": 1.0}, "reserved": {"ram_mib": 0, "disk_gib": 0},
    "started_at": "2026-01-01T00:00:00.000000Z"}


def test_the_one_whose_number_was_taken_takes_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    write, races = rig.db.write, iter([True])

    def beside_another(work: Callable[[orm.Session], Any]) -> Any:
        def both(session: orm.Session) -> Any:
            done = work(session)
            session.flush()
            if next(races, False):
                number, zone_id = session.execute(sa.select(Host.number, Host.zone_id).where(
                    Host.name == "newcomer")).one()
                session.add(Host(name="rival", number=number, zone_id=zone_id, vcpus=1, ram_mib=1, disk_gib=1))
            return done

        return write(both)

    monkeypatch.setattr(rig.db, "write", beside_another)
    assert heartbeats.record_heartbeat(rig.db, "newcomer", _REPORT)["accepted"] is True
    with rig.db.reading() as session:
        assert session.scalars(sa.select(Host.name).order_by(Host.number)).all() == ["host1", "newcomer"]
    rig.db.dispose()
