"""The unmodified `openstack` client on servers with volumes: add, list, update, remove, and every way to boot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.volume_words import make_volume, show_volume, wait_for_rest, wait_volume

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2)
    try:
        yield cloud, cloud.start()
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def openstack(running: tuple[Cloud, Client], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that runs `openstack …` as an administrator and returns its JSON, or nothing for `silent` commands."""
    home = tmp_path_factory.mktemp("home")

    def run(line: str, *, silent: bool = False) -> Any:
        environment = openstack_cli.login(running[0].url, ADMIN_PASSWORD, home)
        done = openstack_cli.run([*line.split(), *([] if silent else ["-f", "json"])], environment)
        assert done.returncode == 0, done.stderr
        return None if silent else json.loads(done.stdout)

    return run


@pytest.mark.contract("N-CLI")
@pytest.mark.long
def test_volumes_come_and_go(openstack: Run, client: Client, cloud: Cloud, image: str) -> None:
    openstack(f"server create --image {image} --flavor m1.nano --wait holder")
    volume_id = make_volume(client, name="data")
    added = openstack(f"server add volume holder {volume_id} --tag disk1 --enable-delete-on-termination")
    assert added["Volume ID"] == volume_id and added["Device"] == "/dev/vdb"
    wait_volume(client, volume_id, "in-use")
    [row] = openstack("server volume list holder")
    assert (row["Volume ID"], row["Device"], row["Delete On Termination?"]) == (volume_id, "/dev/vdb", True)
    openstack(f"server volume update holder {volume_id} --preserve-on-termination", silent=True)
    assert openstack("server volume list holder")[0]["Delete On Termination?"] is False
    assert [one["id"] for one in openstack("server show holder")["volumes_attached"]] == [volume_id]
    [shown] = openstack(f"volume show {volume_id}")["attachments"]
    assert shown["device"] == "/dev/vdb"
    assert openstack("volume list")[0]["Attached to"]
    openstack(f"server remove volume holder {volume_id}", silent=True)
    wait_volume(client, volume_id, "available")
    openstack("server delete --wait holder", silent=True)
    openstack(f"volume delete {volume_id}", silent=True)
    wait_for_rest(cloud)


@pytest.mark.timeout(600)
@pytest.mark.contract("N-BOOT", "N-CLI")
@pytest.mark.long
def test_every_way_to_boot_with_volumes(openstack: Run, client: Client, cloud: Cloud, image: str) -> None:
    bootable, data = make_volume(client, imageRef=image, name="root"), make_volume(client, name="data")
    snapshot = openstack("volume snapshot create --volume root snap")["id"]
    ways = {
        "from-image": f"--image {image} --boot-from-volume 1", "from-volume": f"--volume {bootable}",
        "from-snapshot": f"--snapshot {snapshot}",
        "with-data": f"--image {image} --block-device uuid={data},source_type=volume,delete_on_termination=true",
        "with-blank": f"--image {image} --block-device source_type=blank,destination_type=volume,volume_size=1,"
                      "delete_on_termination=true"}
    volumes = {}
    for name, options in ways.items():
        # The client looks every five seconds only; once is enough to see it wait.
        wait = "--wait" if name == "from-image" else ""
        client.wait_server(openstack(f"server create {options} --flavor m1.nano {wait} {name}")["id"], "ACTIVE")
        shown = openstack(f"server show {name}")
        assert shown["status"] == "ACTIVE"
        volumes[name] = [one["id"] for one in shown["volumes_attached"]]
        on_volume = shown["image"] is None or "N/A" in str(shown["image"])
        assert on_volume == (not name.startswith("with-")), shown["image"]
    assert volumes["from-volume"] == [bootable] and volumes["with-data"] == [data]
    assert all(len(found) == 1 for found in volumes.values())
    assert len(openstack("server list")) == len(ways)
    wait_for_rest(cloud)
    openstack(f"server delete --wait {' '.join(ways)}", silent=True)
    assert show_volume(client, data) is None and show_volume(client, volumes["with-blank"][0]) is None
    for name in ("from-image", "from-volume", "from-snapshot"):
        wait_volume(client, volumes[name][0], "available")
    wait_for_rest(cloud)
