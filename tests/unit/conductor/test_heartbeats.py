"""A host's report: registered once, and only a change that matters makes claims look again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from conductor import heartbeats
from hostler import clock
from hostler.db.models import Host, Zone
from tests.harness.conductor_rig import Rig


def _report(**changed: Any) -> dict[str, Any]:
    return {"started_at": clock.iso_micro(clock.utcnow().replace(microsecond=0, second=0)),
            "availability_zone": "far", "hypervisor_type": "QEMU", "hypervisor_version": 7002000,
            "host_ip": "192.0.2.1",
            "cpu_info": {}, "vcpus": 8, "ram_mib": 16000, "disk_gib": 500, "uptime_s": 5, "healthy": True,
            "ratios": {"cpu": 4.0, "ram": 1.0, "disk": 1.0}, "reserved": {"ram_mib": 512, "disk_gib": 1}, **changed}


def _host(rig: Rig) -> Any:
    with rig.db.reading() as session:
        return session.scalars(sa.select(Host).where(Host.name == "newcomer")).one()


def test_the_first_report_registers_the_host_in_its_zone(rig: Rig) -> None:
    assert heartbeats.record_heartbeat(rig.db, "newcomer", _report())["accepted"] is True
    host = _host(rig)
    assert (host.vcpus, host.ram_mib, host.last_seen_at is not None) == (8, 16000, True)
    assert rig.one(Zone, host.zone_id).name == "far"


def test_memory_that_flutters_is_no_change_and_memory_that_grows_is(rig: Rig) -> None:
    first = _report()
    heartbeats.record_heartbeat(rig.db, "newcomer", first)
    before = _host(rig).generation
    heartbeats.record_heartbeat(rig.db, "newcomer", {**first, "ram_mib": 15990})
    assert (_host(rig).generation, _host(rig).ram_mib) == (before, 16000)
    heartbeats.record_heartbeat(rig.db, "newcomer", {**first, "ram_mib": 32000})
    assert (_host(rig).generation, _host(rig).ram_mib) == (before + 1, 32000)


def test_how_volumes_reach_the_host_is_kept_and_concerns_no_claim(rig: Rig) -> None:
    first = _report(connector={"host": "newcomer", "ip": "192.0.2.1", "shares": {}})
    heartbeats.record_heartbeat(rig.db, "newcomer", first)
    before = _host(rig).generation
    mounted = {**first["connector"], "shares": {"s1": "/mnt/volumes"}}
    heartbeats.record_heartbeat(rig.db, "newcomer", {**first, "connector": mounted})
    assert (_host(rig).connector, _host(rig).generation) == (mounted, before)


def test_an_unhealthy_host_says_why(rig: Rig) -> None:
    heartbeats.record_heartbeat(rig.db, "newcomer", _report())
    heartbeats.record_heartbeat(rig.db, "newcomer", _report(healthy=False, unhealthy_reason="libvirt is away"))
    assert (_host(rig).healthy, _host(rig).unhealthy_reason) == (False, "libvirt is away")


def test_a_report_that_says_nothing_new_is_one_statement(rig: Rig) -> None:
    first = _report()
    heartbeats.record_heartbeat(rig.db, "newcomer", first)
    heartbeats.record_heartbeat(rig.db, "newcomer", first)
    before = _host(rig)
    texts: list[str] = []
    event.listen(rig.db.engine, "before_cursor_execute", lambda *call: texts.append(call[2]))
    heartbeats.record_heartbeat(rig.db, "newcomer", {**first, "uptime_s": 15})
    [statement] = [text for text in texts if not text.startswith("BEGIN")]
    assert statement.startswith("UPDATE hosts")
    after = _host(rig)
    assert after.last_seen_at > before.last_seen_at
    assert (after.uptime_s, after.generation, after.updated_at) == (15, before.generation, before.updated_at)


def test_what_another_conductor_wrote_in_between_is_not_overlooked(rig: Rig) -> None:
    first, second = _report(), _report(vcpus=16)
    for report in (first, first, second, second, first):
        heartbeats.record_heartbeat(rig.db, "newcomer", report)
        assert _host(rig).vcpus == report["vcpus"]
