"""Volumes in a real Ceph: what every driver must, what is left behind, a cluster that is silent, a guest."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from hostler import errors, ids
from hostler.agent.faults import Faults
from hostler.resources.volume.specs import ConnectorSpec, VolumeSpec
from tests.harness import ceph as harness
from tests.harness.ceph import Ceph
from tests.harness.ports import wait_for
from volume import contents, qemu_img
from volume.backends import Backends
from volume.drivers.contract import DriverContract, Reopen, calm, new_snapshot, new_volume
from volume.drivers.driver import DiskSource, Driver
from volume.drivers.loading import BackendConfig, load_driver
from volume.drivers.rbd import RbdDriver
from volume.drivers.rbd_cluster import Cluster, Image
from volume.layout import Layout

HOST = ConnectorSpec(host="host1")
MIB = 1 << 20


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    missing = harness.missing() or harness.missing_in_qemu()
    if missing:
        pytest.skip(missing)
    made = Ceph(tmp_path_factory.mktemp("ceph") / "c")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def cluster(ceph: Ceph) -> Cluster:
    return Cluster(ceph.pool, ceph.user, str(ceph.conf), 30)


def new_driver(cluster: Cluster, owner: str = "node1@ceph", max_depth: int = 5) -> RbdDriver:
    made = RbdDriver(cluster, owner=owner, max_depth=max_depth)
    made.open()
    return made


@pytest.fixture
def driver(cluster: Cluster) -> RbdDriver:
    return new_driver(cluster)


@pytest.fixture
def reopen(cluster: Cluster, driver: Driver) -> Reopen:
    def again() -> Driver:
        driver.close()
        return new_driver(cluster)

    return again


class TestRbdDriver(DriverContract):
    """The shared tests."""


def test_the_cluster_stands_for_a_restricted_user_on_other_programs(ceph: Ceph, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_bytes(b"hostler" * MIB)
    ceph.rbd("import", "--no-progress", str(content), f"{ceph.pool}/harness")
    name = f"rbd:{ceph.pool}/harness:id={ceph.user}:conf={ceph.conf}"
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 7 0 64k", "-c", "read -P 7 0 64k", name], check=True)
    assert f"({7 * MIB} bytes)" in subprocess.run(["qemu-img", "info", name], check=True, capture_output=True,
                                                  text=True).stdout
    ceph.rbd("rm", "--no-progress", f"{ceph.pool}/harness")
    ceph.admin("osd", "pool", "create", "elses")
    with pytest.raises(RuntimeError, match="Operation not permitted"):
        ceph.rbd("ls", "elses")


def test_the_driver_is_found_and_built_from_configuration(ceph: Ceph, tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    (tmp_path / "hostler.conf").write_text(
        f"[backend:ceph]\ndriver = rbd\nrbd_pool = {ceph.pool}\nrbd_user = {ceph.user}\nrbd_ceph_conf = {ceph.conf}\n")
    conf(["--config-file", str(tmp_path / "hostler.conf")])
    made = load_driver(BackendConfig("ceph", "node1", conf, Layout(tmp_path), Faults()))
    made.open()
    volume = new_volume()
    made.create_volume(volume, None, calm)
    connection = made.connect(volume, ids.new_id(), HOST, False)
    assert connection.data == {"pool": ceph.pool, "image": f"volume-{volume.id}", "user": ceph.user, "key": ceph.key,
                               "monitors": [ceph.mon_host]}
    made.delete_volume(volume)


def test_a_chain_of_clones_ends_and_goes_for_good(cluster: Cluster) -> None:
    driver = new_driver(cluster, max_depth=2)
    chain = [new_volume()]
    driver.create_volume(chain[0], None, calm)
    write(cluster, chain[0], 7)
    for _ in range(3):
        chain.append(new_volume())
        driver.clone_volume(chain[-1], chain[-2], calm)
    parents = [image.parent is not None for volume in chain if (image := image_of(cluster, volume))]
    assert parents == [False, True, True, False], "the fourth would stand on three"
    for volume in chain[:2]:
        driver.delete_volume(volume)
    assert sorted(cluster.list_trash().values()) == sorted(f"volume-{volume.id}" for volume in chain[:2])
    assert driver.find().volumes == tuple(sorted(volume.id for volume in chain[2:]))
    check(cluster, chain[2], 7)
    driver.delete_volume(chain[2])
    assert cluster.list_trash() == {}, "nothing needs them any more"
    check(cluster, chain[3], 7)
    driver.delete_volume(chain[3])
    assert driver.find().volumes == ()


def test_a_killed_copy_hinders_nobody(cluster: Cluster, driver: RbdDriver, tmp_path: Path) -> None:
    volume, source = new_volume(), big_source(tmp_path)
    with pytest.raises(errors.StaleAttempt):
        driver.create_volume(volume, source, unwanted)
    assert driver.find().volumes == (volume.id,)
    started = time.monotonic()
    driver.create_volume(volume, source, calm)
    assert time.monotonic() - started < 20, "Ceph's 30 s for a dead client are not waited for"
    check(cluster, volume, 7)
    with pytest.raises(errors.StaleAttempt):
        driver.overwrite_volume(volume, source, unwanted)
    driver.overwrite_volume(volume, source, calm)
    check(cluster, volume, 7)
    driver.delete_volume(volume)
    wait_for(lambda: driver.find().volumes == () and not cluster.list_trash(), "the trash to be emptied", 60, 1)


def test_the_moment_of_a_clone_that_was_cut_short_is_found_and_removed(cluster: Cluster, driver: RbdDriver) -> None:
    source, wanted, never = new_volume(), new_volume(), new_volume()
    driver.create_volume(source, None, calm)
    for volume in (wanted, never):
        cluster.create_snapshot(f"volume-{source.id}", f"clone-{volume.id}")
    assert set(driver.find().volumes) == {source.id, wanted.id, never.id}
    driver.clone_volume(wanted, source, calm)
    driver.delete_volume(VolumeSpec(id=never.id, backend="", size_gib=0))
    assert set(driver.find().volumes) == {source.id, wanted.id}
    assert cluster.list_snapshots(f"volume-{source.id}") == ()
    for volume in (source, wanted):
        driver.delete_volume(volume)


def test_a_volume_with_snapshots_stays(driver: RbdDriver) -> None:
    volume = new_volume()
    snapshot = new_snapshot(volume)
    driver.create_volume(volume, None, calm)
    driver.create_snapshot(snapshot, volume, calm)
    with pytest.raises(errors.AgentError, match="has snapshots"):
        driver.delete_volume(volume)
    driver.delete_snapshot(snapshot, volume)
    driver.delete_volume(volume)


def test_volumes_for_many_servers_have_no_lock(cluster: Cluster, driver: RbdDriver) -> None:
    shared, retyped = new_volume(multiattach=True), new_volume()
    for volume in (shared, retyped):
        driver.create_volume(volume, None, calm)
    retyped = VolumeSpec(id=retyped.id, backend="", size_gib=1, multiattach=True)
    for volume in (shared, retyped):
        driver.connect(volume, ids.new_id(), HOST, False)
        image = image_of(cluster, volume)
        assert image is not None and "exclusive-lock" not in image.features
        driver.delete_volume(volume)
    assert driver.find().connections == {}


def test_another_node_reads_a_volume_with_the_key_it_was_given(cluster: Cluster, driver: RbdDriver, tmp_path: Path
                                                               ) -> None:
    volume = new_volume()
    driver.create_volume(volume, None, calm)
    write(cluster, volume, 7)
    connection = driver.connect(volume, ids.new_id(), HOST, True)
    with contents.content_of_connection(connection, 1, Backends([]), tmp_path, "") as source:
        qemu_img.convert(source, str(tmp_path / "copy"), "raw", calm)
    with (tmp_path / "copy").open("rb") as file:
        assert file.read(MIB) == b"\x07" * MIB
    driver.delete_volume(volume)


def test_a_pool_has_one_owner(cluster: Cluster, driver: RbdDriver) -> None:
    with pytest.raises(errors.AgentError, match="belongs to the back end node1@ceph"):
        new_driver(cluster, "node2@ceph")
    driver.open()


def test_what_is_wrong_is_said_soon(ceph: Ceph, tmp_path: Path) -> None:
    with pytest.raises(errors.AgentError, match="no pool 'elsewhere'"):
        new_driver(Cluster("elsewhere", ceph.user, str(ceph.conf), 2))
    with pytest.raises(errors.AgentError, match="does not answer, or refuses"):
        new_driver(Cluster(ceph.pool, "nobody", str(ceph.conf), 2))
    nowhere = tmp_path / "nowhere.conf"
    nowhere.write_text(ceph.conf.read_text().replace(str(ceph.port), "1"))
    with pytest.raises(errors.AgentError, match="does not answer"):
        new_driver(Cluster(ceph.pool, ceph.user, str(nowhere), 2))


def test_a_silent_cluster_holds_nobody(ceph: Ceph, driver: RbdDriver) -> None:
    volume = new_volume()
    driver.create_volume(volume, None, calm)
    impatient = RbdDriver(Cluster(ceph.pool, ceph.user, str(ceph.conf), 2), owner="node1@ceph", max_depth=5)
    ceph.freeze()
    try:
        for act in (impatient.get_stats, impatient.find, lambda: impatient.extend_volume(volume, 2)):
            started = time.monotonic()
            with pytest.raises(errors.AgentError, match="does not answer"):
                act()
            assert time.monotonic() - started < 15
    finally:
        ceph.thaw()
    driver.extend_volume(volume, 2)
    driver.delete_volume(volume)


def image_of(cluster: Cluster, volume: VolumeSpec) -> Image | None:
    return cluster.find_image(f"volume-{volume.id}")


def write(cluster: Cluster, volume: VolumeSpec, pattern: int) -> None:
    """Write a MiB as a guest would."""
    io(cluster, volume, f"write -P {pattern} 0 1M")


def check(cluster: Cluster, volume: VolumeSpec, pattern: int) -> None:
    """Say that the first MiB holds `pattern`."""
    assert "verification failed" not in io(cluster, volume, f"read -P {pattern} 0 1M")


def io(cluster: Cluster, volume: VolumeSpec, command: str) -> str:
    name = qemu_img.json_name(cluster.blockdev(f"volume-{volume.id}"))
    return subprocess.run(["qemu-io", "-c", command, name], check=True, capture_output=True, text=True).stdout


def big_source(directory: Path) -> DiskSource:
    """Return a content that takes a while to copy."""
    path = directory / "big"
    path.write_bytes(b"\x07" * 512 * MIB)
    return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, 512 * MIB)


def unwanted(percent: int) -> None:
    """Let a copy begin, then want it no more."""
    if percent:
        raise errors.StaleAttempt(operation="o", attempt=1, seen=2)
