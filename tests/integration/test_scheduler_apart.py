"""Schedulers apart, on a real broker: they share the work, are killed in it, and are left for conductors that choose
themselves, one conductor after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import backends, invariants
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.ports import wait_for

BURST = 30
SETTLE_S = 120


class Site:
    """Two hosts, one conductor that asks over the bus, two schedulers, and a second conductor that asks nobody."""

    def __init__(self, directory: Path) -> None:
        shared = {"DEFAULT": {"state_path": directory / "shared"}}
        self.fleet = Fleet(directory, hosts=2, scheduler=True, overrides={
            "conductor2": {**shared, "conductor": {"scheduler": "in-process"}}, "scheduler2": shared})
        self.fleet.prepare()
        self.fleet.add_all()
        for name, service in (("scheduler2", "scheduler"), ("conductor2", "conductor")):
            self.fleet.write_config(name, service, host="control2")
            self.fleet.add(name, service)
        self.client: Client = self.fleet.start()
        self.image = self.client.make_image()

    def create(self, name: str) -> None:
        """Ask for servers in one request."""
        body = self.client.server_body(self.image, name, min_count=BURST, max_count=BURST)
        assert self.client.post("/compute/v2.1/servers", body).status_code == 202

    def wait_active(self, name: str) -> None:
        """Wait until all of them are active, each with what it takes of its host, once."""
        def active() -> int:
            found = self.client.get(f"/compute/v2.1/servers/detail?name=^{name}").json()["servers"]
            assert [server["fault"] for server in found if server["status"] == "ERROR"] == []
            return sum(server["status"] == "ACTIVE" for server in found)

        wait_for(lambda: active() == BURST, f"{name} active", SETTLE_S, every_s=0.2)
        db = self.fleet.database()
        wait_for(lambda: not invariants.database_faults(db), "rest", SETTLE_S, every_s=0.2)
        db.dispose()

    def chosen_by(self, name: str) -> int:
        """Return how many hosts a process has chosen."""
        return self.fleet.processes[name].log.read_text().count("goes to host")

    def wait_schedulers(self, **states: str) -> None:
        """Wait until the schedulers are listed with these states, by their hosts."""
        def listed() -> dict[str, str]:
            services = self.client.get("/compute/v2.1/os-services?binary=nova-scheduler").json()["services"]
            return {service["host"]: service["state"] for service in services}

        wait_for(lambda: listed() == states, f"schedulers {states}", SETTLE_S, every_s=0.2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if reason := backends.missing():
        pytest.skip(reason)
    made = Site(tmp_path_factory.mktemp("apart"))
    yield made
    made.fleet.stop()


def test_one_that_is_killed_is_missed_by_nobody(site: Site) -> None:
    site.create("killed")
    site.fleet.processes["scheduler"].kill()
    site.wait_active("killed")
    site.fleet.processes["scheduler"].start()
    site.wait_schedulers(control="up", control2="up")
    assert site.chosen_by("scheduler2") > 0


def test_both_ways_share_the_work_and_nothing_is_claimed_twice(site: Site) -> None:
    before = {name: site.chosen_by(name) for name in ("conductor2", "scheduler", "scheduler2")}
    site.create("shared")
    site.wait_active("shared")
    chosen = {name: site.chosen_by(name) - count for name, count in before.items()}
    print("chosen by", chosen)
    assert chosen["conductor2"] > 0 and chosen["scheduler"] + chosen["scheduler2"] > 0
    assert sum(chosen.values()) >= BURST  # one that is asked again, after a silence, gives the same answer
    site.wait_schedulers(control="up", control2="up")


def test_a_cloud_goes_on_when_its_last_schedulers_apart_are_stopped(site: Site) -> None:
    for name in ("conductor", "scheduler", "scheduler2"):
        site.fleet.processes[name].stop()
    site.create("alone")
    site.wait_active("alone")
    site.wait_schedulers(control="down", control2="up")
