"""The unmodified `openstack` client on volumes: made, shown, changed, moved, copied, made images of, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import free_port, wait_for

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., Any]
_SILENT = ("set", "unset", "delete", "migrate", "revert")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Cloud, Client]]:
    """A cloud with two back ends on one storage node."""
    home, port = tmp_path_factory.mktemp("cloud"), free_port()
    cloud = Cloud(home, hosts=1, nodes=1, overrides={
        "api.bind_port": port, "api.public_url": f"http://127.0.0.1:{port}"}, node_options={
        "node1": {"volume": {"enabled_backends": "fake,second"}, "backend:second": {"driver": "fake"}}})
    client = cloud.start()
    yield home, cloud, client
    cloud.stop()


@pytest.fixture(scope="module")
def openstack(running: tuple[Path, Cloud, Client]) -> Run:
    """A function that runs `openstack …` as an administrator and returns its JSON, or its complaint with `fails`."""
    home, cloud, _ = running

    def run(line: str, *, version: str | None = None, fails: bool = False) -> Any:
        words = line.split()
        silent = any(word in _SILENT for word in words[:3])
        environment = openstack_cli.login(cloud.url, ADMIN_PASSWORD, home,
                                          **({"OS_VOLUME_API_VERSION": version} if version is not None else {}))
        done = openstack_cli.run([*words, *([] if silent else ["-f", "json"])], environment)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else None if silent else json.loads(done.stdout)

    return run


@pytest.fixture
def settled(running: tuple[Path, Cloud, Client]) -> Callable[[], None]:
    """A function that waits until nothing is done to any volume, and each is available."""
    client = running[2]

    def done() -> bool:
        volumes = client.request("GET", "/volume/v3/volumes/detail",
                                 headers={"OpenStack-API-Version": "volume 3.71"}).json()["volumes"]
        return all(volume["status"] in ("available", "error") and volume["migration_status"] in (None, "success")
                   for volume in volumes)

    return lambda: wait_for(done, "volumes at rest", timeout_s=30)


def test_a_volume_is_made_shown_changed_and_deleted(openstack: Run, settled: Callable[[], None]) -> None:
    made = openstack("volume create --size 1 --property a=b --description first one")
    assert (made["status"], made["size"], made["properties"]) == ("creating", 1, {"a": "b"})
    settled()
    [row] = openstack("volume list --long")
    assert (row["Name"], row["Status"], row["Bootable"], row["Properties"]) == ("one", "available", False, {"a": "b"})
    openstack("volume set --name uno --property x=y --bootable --read-only --image-property k=v one")
    shown = openstack("volume show uno")
    assert shown["properties"] == {"a": "b", "x": "y", "readonly": "True"} and shown["bootable"] is True
    assert shown["volume_image_metadata"] == {"k": "v"} and shown["os-vol-host-attr:host"].startswith("node1@")
    openstack("volume unset --property x --image-property k uno")
    openstack("volume set --read-write uno")
    openstack("volume set --size 2 uno")
    settled()
    shown = openstack("volume show uno")
    assert (shown["size"], shown["properties"]) == (2, {"a": "b", "readonly": "False"})
    assert [row["Name"] for row in openstack("volume list --status available --name uno --property a=b")] == ["uno"]
    assert openstack("volume list --all-projects --status error") == []
    assert openstack("volume summary")["Total Size"] == 2
    openstack("volume delete uno")
    wait_for(lambda: openstack("volume list") == [], "the volume gone", timeout_s=60)


def test_what_is_refused_is_said(openstack: Run) -> None:
    complaint = openstack("volume create --size 1 --availability-zone nowhere lost", fails=True)
    assert "Availability zone 'nowhere' is invalid." in complaint
    assert "1000G" in openstack("volume create --size 2000 large", fails=True)
    assert "nothing" in openstack("volume show nothing", fails=True)
    assert openstack("volume list") == []


@pytest.mark.parametrize("version", ["3.0", "3.71"])
def test_old_and_new_versions(openstack: Run, settled: Callable[[], None], version: str) -> None:
    openstack("volume create --size 1 old", version=version)
    settled()
    assert openstack("volume show old", version=version)["status"] == "available"
    openstack("volume delete old", version=version)
    wait_for(lambda: openstack("volume list", version=version) == [], "the volume gone", timeout_s=60)


@pytest.mark.long
def test_moved_retyped_copied_reverted(running: tuple[Path, Cloud, Client], openstack: Run,
                                       settled: Callable[[], None]) -> None:
    openstack("volume type create first")
    openstack("volume type create --property volume_backend_name=second second")
    openstack("volume create --size 1 --type first one")
    settled()
    openstack("volume set --type second --migration-policy on-demand one")
    settled()
    shown = openstack("volume show one")
    assert (shown["type"], shown["os-vol-host-attr:host"]) == ("second", "node1@second#second")
    openstack("volume set --type first one")
    settled()
    openstack("volume migrate --host node1@fake#fake one")
    settled()
    assert openstack("volume show one")["os-vol-host-attr:host"] == "node1@fake#fake"
    [one] = running[2].get("/volume/v3/volumes/detail").json()["volumes"]
    assert one["migration_status"] == "success"
    openstack("volume create --source one copy")
    settled()
    openstack("volume snapshot create --volume copy snap")
    wait_for(lambda: openstack("volume snapshot show snap")["status"] == "available", "the snapshot", timeout_s=60)
    openstack("volume revert snap")
    settled()
    openstack("volume create --snapshot snap heir")
    settled()
    openstack("volume set --state error heir")
    assert openstack("volume show heir")["status"] == "error"
    openstack("volume delete --purge copy")
    openstack("volume delete --force heir")
    openstack("volume delete one")
    wait_for(lambda: openstack("volume list") == [], "the volumes gone", timeout_s=60)


def test_an_image_is_made_of_a_volume(openstack: Run, settled: Callable[[], None],
                                      running: tuple[Path, Cloud, Client]) -> None:
    image = running[2].make_image()
    openstack(f"volume create --image {image} --size 1 root")
    settled()
    assert openstack("image create --volume root --disk-format qcow2 mine")["status"] == "uploading"
    wait_for(lambda: openstack("image show mine")["status"] == "active", "the image", timeout_s=60)
    settled()
    openstack("volume delete root")
