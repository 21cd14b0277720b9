"""RabbitMQ and the database server stop for a while, each at its worst moment: what was accepted is done, on both kinds
of database server. Separate processes, whose connections are cold."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import backends, invariants, mariadb
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.ports import wait_for

SETTLE_S = 120
_VOLUMES = "/volume/v3/volumes"


class Site:
    """A fleet with a storage node on one kind of database server."""

    def __init__(self, fleet: Fleet, server: backends.Postgres | mariadb.MariaDB) -> None:
        self.fleet = fleet
        self.server = server
        self.client: Client = fleet.start()
        self.image = self.client.make_image()

    def restart_control(self) -> None:
        """Restart api and conductor: none has a connection from before, beyond what a start needs."""
        for name in reversed(self.fleet.control):
            self.fleet.processes[name].stop()
        for name in self.fleet.control:
            self.fleet.processes[name].start()
        self.client = self.fleet.client()
        wait_for(lambda: self.fleet._hosts_up(self.client) == len(self.fleet.hosts), "hosts up", 60, every_s=0.2)

    def volume(self, name: str) -> str:
        """Ask for a volume."""
        answer = self.client.post(_VOLUMES, {"volume": {"name": name, "size": 1}})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["volume"]["id"])

    def volume_status(self, volume_id: str) -> str:
        """Return its status, "gone" when there is none."""
        answer = self.client.get(f"{_VOLUMES}/{volume_id}")
        return "gone" if answer.status_code == 404 else str(answer.json()["volume"]["status"])

    def server_status(self, server_id: str) -> str:
        """Return its status, "gone" when there is none."""
        found = self.client.show(server_id)
        return str(found["status"]) if found else "gone"

    def rest(self) -> None:
        """Wait until nothing is locked and records agree with hosts."""
        db = self.fleet.database()

        def faults() -> list[str]:
            found = invariants.database_faults(db)
            for host in self.fleet.hosts:
                found += invariants.host_faults(db, host, self.fleet.directory / host)
            return found

        try:
            wait_for(lambda: not faults(), f"rest; still {faults()}", SETTLE_S, every_s=0.3)
        finally:
            db.dispose()


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The fleet."""
    if reason := backends.missing() or mariadb.missing():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp(request.param)
    server = backends.Postgres() if request.param == "postgresql" else mariadb.MariaDB(directory / "mariadb")
    server.start()
    fleet = Fleet(directory / "fleet", hosts=2, nodes=1, database_url=server.url)
    try:
        fleet.prepare()
        yield Site(fleet, server)
    finally:
        fleet.kill()
        server.stop()


def _reach(wanted: dict[str, tuple[Callable[[str], str], str]]) -> None:
    """Wait until each resource has its status; none may show an error on the way."""
    def all_there() -> bool:
        found = {key: look(key) for key, (look, _) in wanted.items()}
        assert not [key for key, status in found.items() if "error" in status.lower()], found
        return all(found[key] == status for key, (_, status) in wanted.items())

    wait_for(all_there, "every operation done", SETTLE_S, every_s=0.3)


def _accept_eleven(site: Site) -> dict[str, tuple[Callable[[str], str], str]]:
    return _Prepared(site).accept()


class _Prepared:
    """What eleven operations work on, made beforehand."""

    def __init__(self, site: Site) -> None:
        self.site = site
        make = [site.client.create_server(site.image, f"old-{number}") for number in range(4)]
        volumes = [site.volume(f"old-{number}") for number in range(3)]
        for server_id in make:
            site.client.wait_server(server_id, "ACTIVE", timeout_s=90)
        wait_for(lambda: {site.volume_status(one) for one in volumes} == {"available"}, "volumes", 60, every_s=0.2)
        self.stop, self.reboot, self.delete, self.attach = make
        self.attached, self.deleted, self.source = volumes

    def accept(self) -> dict[str, tuple[Callable[[str], str], str]]:
        """Ask for the eleven; returns what each resource is to become."""
        site, client = self.site, self.site.client
        wanted: dict[str, tuple[Callable[[str], str], str]] = {}
        took = []

        def ask(call: Callable[[], object]) -> object:
            started = time.monotonic()
            answer = call()
            took.append(time.monotonic() - started)
            return answer

        action = "/compute/v2.1/servers/{}/action"
        for number in range(4):
            server_id = str(ask(lambda number=number: client.create_server(site.image, f"new-{number}")))  # type: ignore[misc]
            wanted[server_id] = (site.server_status, "ACTIVE")
        for number in range(2):
            wanted[str(ask(lambda number=number: site.volume(f"new-{number}")))] = (  # type: ignore[misc]
                site.volume_status, "available")
        answers = [
            ask(lambda: client.post(action.format(self.stop), {"os-stop": None})),
            ask(lambda: client.post(action.format(self.reboot), {"reboot": {"type": "HARD"}})),
            ask(lambda: client.delete(f"/compute/v2.1/servers/{self.delete}")),
            ask(lambda: client.post(f"/compute/v2.1/servers/{self.attach}/os-volume_attachments",
                                    {"volumeAttachment": {"volumeId": self.attached}})),
            ask(lambda: client.delete(f"{_VOLUMES}/{self.deleted}"))]
        assert {answer.status_code for answer in answers} <= {200, 202, 204}, answers  # type: ignore[attr-defined]
        assert len(took) == 11
        print("requests took", [round(one, 2) for one in took])
        assert max(took) < 5
        return {**wanted, self.stop: (site.server_status, "SHUTOFF"), self.reboot: (site.server_status, "ACTIVE"),
                self.delete: (site.server_status, "gone"), self.attached: (site.volume_status, "in-use"),
                self.deleted: (site.volume_status, "gone")}


def test_eleven_operations_accepted_without_a_broker_are_done_when_it_is_back(site: Site) -> None:
    prepared = _Prepared(site)
    site.restart_control()
    site.fleet.broker.stop()
    wanted = prepared.accept()
    for _ in range(10):
        started = time.monotonic()
        assert site.client.get("/healthcheck").status_code == 200
        assert time.monotonic() - started < 2
        # Reads of the guest need the broker, and must not wait for it: more of them than the api has threads.
        answer = site.client.post(f"/compute/v2.1/servers/{prepared.reboot}/action", {"os-getConsoleOutput": {}})
        assert answer.status_code >= 400
        assert time.monotonic() - started < 15
    site.fleet.broker.start()
    _reach(wanted)
    site.rest()


@pytest.mark.parametrize("seconds", [3, 7])
def test_a_database_that_stops_for_seconds_only_delays(site: Site, seconds: int) -> None:
    prepared = _Prepared(site)
    wanted = prepared.accept()
    time.sleep(0.3)
    site.server.crash()
    time.sleep(seconds)
    assert site.client.get("/healthcheck").status_code == 200
    site.server.resume()
    wait_for(lambda: site.client.get("/compute/v2.1/servers?limit=1").ok, "the api answers", 60, every_s=0.2)
    _reach(wanted)
    site.rest()


def test_a_frozen_database_server_is_answered_with_503(site: Site) -> None:
    for pid in site.server.pids():
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            started = time.monotonic()
            answer = site.client.get("/compute/v2.1/servers")
            assert (answer.status_code, answer.headers.get("Retry-After") is not None) == (503, True), answer.text
            assert time.monotonic() - started < 25
            started = time.monotonic()
            assert site.client.get("/healthcheck").status_code == 200
            assert time.monotonic() - started < 2
    finally:
        for pid in site.server.pids():
            os.kill(pid, signal.SIGCONT)
    server_id = site.client.create_server(site.image, "after")
    site.client.wait_server(server_id, "ACTIVE", timeout_s=90)


def test_services_that_start_without_broker_or_database_say_so_and_wait(site: Site) -> None:
    names = (*site.fleet.control, "host1", "node1")
    for name in names:
        site.fleet.processes[name].stop()
    marks = {name: len(site.fleet.processes[name].log.read_text()) for name in names}
    site.fleet.broker.stop()
    site.server.crash()
    for name in names:
        site.fleet.processes[name].start()
    try:
        for name in names:
            wait_for(lambda name=name: "waits for" in site.fleet.processes[name].log.read_text()[marks[name]:],  # type: ignore[misc]
                     f"{name} says that it waits", 30, every_s=0.2)
            assert site.fleet.processes[name].is_running()
    finally:
        site.server.resume()
        site.fleet.broker.start()
    site.client = site.fleet.client()
    for name in names:
        text = site.fleet.processes[name].log.read_text()[marks[name]:]
        assert text.count("waits for") <= 2, text
    server_id = site.client.create_server(site.image, "after")
    site.client.wait_server(server_id, "ACTIVE", timeout_s=90)
