"""The unmodified `openstack` client on hosts: hypervisors, services, zones, aggregates, and where servers then go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., Any]
_SILENT = ("set", "unset", "delete")


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A function that runs `openstack …` as an administrator and returns its JSON, or its complaint with `fails`."""
    home = tmp_path_factory.mktemp("cloud")
    cloud = Cloud(home, hosts=2)
    cloud.start()

    def run(line: str, *, version: str = "2.96", fails: bool = False) -> Any:
        words = line.split()
        silent = any(word in _SILENT for word in words[:3])
        environment = openstack_cli.login(cloud.url, ADMIN_PASSWORD, home, OS_COMPUTE_API_VERSION=version)
        done = openstack_cli.run([*words, *([] if silent else ["-f", "json"])], environment)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else None if silent else json.loads(done.stdout)

    yield run
    cloud.stop()


@pytest.mark.parametrize("version", ["2.1", "2.53", "2.96"])
def test_hypervisors_and_services(openstack: Run, version: str) -> None:
    rows = openstack("hypervisor list --long", version=version)
    assert [row["State"] for row in rows] == ["up", "up"]
    shown = openstack(f"hypervisor show {rows[0]['ID']}", version=version)
    assert shown["hypervisor_hostname"] == rows[0]["Hypervisor Hostname"] and shown["status"] == "enabled"
    binaries = {row["Binary"] for row in openstack("compute service list", version=version)}
    assert {"nova-compute", "nova-conductor", "nova-scheduler"} <= binaries


def test_a_host_is_taken_out_of_service_and_put_back(openstack: Run) -> None:
    openstack("compute service set --disable --disable-reason smoke host1 nova-compute")
    [row] = openstack("compute service list --host host1 --service nova-compute --long")
    assert (row["Status"], row["Disabled Reason"]) == ("disabled", "smoke")
    openstack("compute service set --enable host1 nova-compute", version="2.1")
    openstack("compute service set --down host1 nova-compute")
    [row] = openstack("compute service list --host host1 --service nova-compute")
    assert (row["Status"], row["State"]) == ("enabled", "down")
    openstack("compute service set --up host1 nova-compute", version="2.11")
    [row] = openstack("compute service list --host host1 --service nova-compute")
    assert row["State"] == "up"


def test_an_aggregate_makes_a_zone(openstack: Run) -> None:
    openstack("aggregate create --zone north --property ssd=true fast")
    openstack("aggregate add host fast host2")
    shown = openstack("aggregate show fast")
    assert (shown["hosts"], shown["availability_zone"]) == (["host2"], "north")
    assert shown["properties"] == {"ssd": "true"}
    zones = openstack("availability zone list --compute --long")
    assert {(row["Zone Name"], row["Host Name"]) for row in zones if row["Zone Name"] == "north"} == {
        ("north", "host2")}
    openstack("aggregate set --name faster --property ssd=no fast")
    openstack("aggregate delete faster", fails=True)
    openstack("aggregate remove host faster host2")
    openstack("aggregate delete faster")
    assert openstack("aggregate list") == []
    assert {row["Zone Name"] for row in openstack("availability zone list --compute")} == {"nova", "internal"}
