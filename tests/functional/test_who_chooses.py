"""Hosts and back ends are chosen by the conductor itself or by a scheduler apart: nobody else sees a difference."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import conf as hostler_conf
from hostler import errors
from hostler.cmd import all_in_one, conductor, scheduler
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Service
from scheduler import service as scheduler_service
from tests.harness import databases
from tests.harness.client import Client
from tests.harness.inprocess import QUICK, Cloud
from tests.harness.ports import wait_for

HUGE = {"name": "huge", "vcpus": 1, "ram": 100_000_000, "disk": 1}


class Site:
    """A cloud and its administrator."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.client: Client = cloud.start()

    def services(self, api: str) -> list[tuple[str, str, str]]:
        """Return binary, host and state of the control services that an api lists."""
        path = {"compute": "/compute/v2.1/os-services", "volume": "/volume/v3/os-services"}[api]
        return [(row["binary"], row["host"], row["state"]) for row in self.client.get(path).json()["services"]
                if row["zone"] == "internal"]


@pytest.fixture(scope="module", params=["in-process", "bus"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    overrides = {"conductor.scheduler": request.param, "quota.ram": -1}
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2, nodes=1, overrides=overrides)
    assert len(cloud.schedulers) == (request.param == "bus")
    yield Site(cloud)
    cloud.stop()


def test_servers_and_volumes_find_their_places(site: Site) -> None:
    server = site.client.create_server(site.client.make_image())
    assert site.client.wait_server(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] in ("host1", "host2")
    volume = site.client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    site.client.wait_volume(volume, "available")


def test_a_refusal_says_what_each_filter_took_away(site: Site) -> None:
    flavor = site.client.post("/compute/v2.1/flavors", {"flavor": HUGE}).json()["flavor"]["id"]
    server = site.client.create_server(site.client.make_image(), flavor=flavor)
    assert "capacity removed 2 of 2" in site.client.wait_server(server, "ERROR")["fault"]["message"]
    kind = {"name": "elsewhere", "extra_specs": {"volume_backend_name": "elsewhere"}}
    site.client.post("/volume/v3/types", {"volume_type": kind}).raise_for_status()
    body = {"volume": {"size": 1, "volume_type": "elsewhere"}}
    volume = site.client.post("/volume/v3/volumes", body).json()["volume"]["id"]
    site.client.wait_volume(volume, "error")
    [message] = [found["user_message"] for found in site.client.get(
        "/volume/v3/messages", headers={"OpenStack-API-Version": "volume 3.71"}).json()["messages"]
        if found["resource_uuid"] == volume]
    assert "capabilities removed 1 of 1" in message


def test_whoever_chooses_is_listed_as_a_scheduler(site: Site) -> None:
    assert ("nova-scheduler", site.cloud.conf.host, "up") in site.services("compute")
    assert site.services("volume") == [("cinder-scheduler", site.cloud.conf.host, "up")]


def test_an_old_scheduler_beside_does_no_harm(site: Site) -> None:
    """As after an upgrade, until somebody stops it: it works, and when it ends, the one that chooses goes on."""
    before = site.services("compute")
    old = scheduler_service.build(site.cloud.conf, db=site.cloud.db, bus=site.cloud.bus)
    old.start()
    site.client.wait_server(site.client.create_server(site.client.make_image()), "ACTIVE")
    old.stop()
    stopped_at = site.cloud.db.now()

    def reported() -> bool:
        with site.cloud.db.reading() as session:
            seen_at = session.scalar(sa.select(Service.last_seen_at).where(Service.binary == "nova-scheduler"))
        return seen_at is not None and seen_at > stopped_at

    wait_for(reported, "a report after its end")
    assert site.services("compute") == before


def configured(directory: Path, **overrides: Any) -> Any:
    conf = hostler_conf.load([], config_files=[], overrides={
        **QUICK, "database.connection": f"sqlite:///{directory / 'cloud.db'}", "state_path": str(directory),
        **overrides})
    databases.prepare(Database.from_conf(conf), schema.upgrade).dispose()
    return conf


@pytest.mark.parametrize("build", [conductor.build, all_in_one.AllInOne])
def test_a_conductor_does_not_start_with_a_filter_that_nothing_provides(build: Any, tmp_path: Path) -> None:
    with pytest.raises(errors.Invalid, match=r"names 'capacty', but hostler.scheduler.filters has only"):
        build(configured(tmp_path, **{"scheduler.filters": ["service_up", "capacty"]}))


@pytest.mark.parametrize(("mode", "count"), [("in-process", 1), ("bus", 0)])
def test_a_scheduler_says_when_nobody_may_ask_it(mode: str, count: int, tmp_path: Path,
                                                 caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hostler.cmd.scheduler"):
        scheduler.build(configured(tmp_path, **{"conductor.scheduler": mode}))
    assert len(caplog.messages) == count
