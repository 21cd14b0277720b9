"""A volume that two hosts reach while a guest goes from one to the other, with real qemu-nbd and QEMU's own client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectionSpec, VolumeSpec
from tests.harness.file_backend import (
    MakeDriver,
    a_host,
    a_volume,
    certificates,
    ignore,
    kill,
    make_driver,
    need_qemu,
    pids,
    reach,
    state,
)
from volume.drivers.file.driver import FileDriver

__all__ = ["certificates", "make_driver", "need_qemu", "state"]


@pytest.fixture
def exports(state: Path) -> Path:
    return state / "volume/exports"


@pytest.fixture
def secure(make_driver: MakeDriver, certificates: Path) -> FileDriver:
    made = make_driver(volume_tls_dir=str(certificates / "node1"), volume_insecure_exports=False)
    made.open()
    return made


@pytest.fixture
def plain(make_driver: MakeDriver) -> FileDriver:
    made = make_driver()
    made.open()
    return made


def make(node: FileDriver, image_format: str = "qcow2") -> VolumeSpec:
    volume = a_volume(1, extra_specs={"hostler:format": image_format})
    node.create_volume(volume, None, ignore)
    return volume


def admitted(connection: ConnectionSpec, certificates: Path) -> set[str]:
    return {name for name in ("host1", "host2") if reach(connection, certificates / name) == ""}


def io(connection: ConnectionSpec, command: str) -> str:
    data = connection.data
    done = subprocess.run(["qemu-io", "-f", "raw", "-c", command,
                           f"nbd://{data['host']}:{data['port']}/{data['export']}"],
                          capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_encrypted_each_host_has_its_own_export(secure: FileDriver, certificates: Path) -> None:
    volume, first, second = make(secure, "raw"), ids.new_id(), ids.new_id()
    source = secure.connect(volume, first, a_host("host1", tls=True), False)
    target = secure.connect(volume, second, a_host("host2", tls=True), False, first)
    assert secure.connect(volume, second, a_host("host2", tls=True), False, first) == target
    assert (admitted(source, certificates), admitted(target, certificates)) == ({"host1"}, {"host2"})
    assert secure.find().connections == {first: volume.id, second: volume.id}
    secure.disconnect(volume.id, first)
    assert (admitted(source, certificates), admitted(target, certificates)) == (set(), {"host2"})
    assert secure.find().connections == {second: volume.id}


def test_a_qcow2_file_has_one_encrypted_export(secure: FileDriver, certificates: Path) -> None:
    volume, first = make(secure), ids.new_id()
    source = secure.connect(volume, first, a_host("host1", tls=True), False)
    with pytest.raises(errors.AgentError, match="kept as qcow2"):
        secure.connect(volume, ids.new_id(), a_host("host2", tls=True), False, first)
    assert secure.find().connections == {first: volume.id}
    assert admitted(source, certificates) == {"host1"}


@pytest.mark.parametrize("goes", ["source", "target"])
def test_not_encrypted_both_share_a_process(plain: FileDriver, exports: Path, goes: str) -> None:
    volume, first, second = make(plain), ids.new_id(), ids.new_id()
    source = plain.connect(volume, first, a_host("host1"), False)
    for _ in range(2):
        assert plain.connect(volume, second, a_host("host2"), False, first) == source
    assert plain.find().connections == {first: volume.id, second: volume.id}
    left, stays = (first, second) if goes == "source" else (second, first)
    for _ in range(2):
        plain.disconnect(volume.id, left)
    assert plain.find().connections == {stays: volume.id}
    assert plain.connect(volume, stays, a_host("host2" if goes == "source" else "host1"), False) == source
    kill(pids(exports)[first])
    plain.get_stats()
    assert "wrote" in io(source, "write -P 8 1M 1M"), "restored"
    plain.disconnect(volume.id, stays)
    assert (pids(exports), plain.find().connections) == ({}, {})


def test_what_one_host_wrote_the_other_reads(plain: FileDriver) -> None:
    volume, first, second = make(plain), ids.new_id(), ids.new_id()
    source = plain.connect(volume, first, a_host("host1"), False)
    target = plain.connect(volume, second, a_host("host2"), False, first)
    assert "wrote" in io(source, "write -P 7 0 1M")
    assert "read 1048576" in io(target, "read -P 7 0 1M")
    plain.disconnect(volume.id, first)
    assert "wrote" in io(target, "write -P 8 1M 1M")


def hold_file(path: Path) -> subprocess.Popen[str]:
    """Have the file open as a guest's QEMU has: nobody else may write it."""
    drive = {"driver": "raw", "node-name": "disk", "file": {"driver": "file", "filename": str(path)}}
    guest = subprocess.Popen(
        ["qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-m", "16", "-qmp", "stdio",
         "-blockdev", json.dumps(drive), "-device", "virtio-blk-pci,drive=disk"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert guest.stdout is not None
    assert "QMP" in guest.stdout.readline()
    return guest


def test_a_raw_file_is_exported_while_the_source_has_it_open(plain: FileDriver, state: Path) -> None:
    volume, second = make(plain, "raw"), ids.new_id()
    guest = hold_file(state / f"volumes/local/volume-{volume.id}.raw")
    try:
        with pytest.raises(errors.AgentError, match="has the volume open"):
            plain.connect(volume, ids.new_id(), a_host("host2"), False)
        for _ in range(2):
            target = plain.connect(volume, second, a_host("host2"), False, ids.new_id())
        assert target.protocol == "nbd"
        assert "read 1048576" in io(target, "read 0 1M")
    finally:
        guest.kill()
        guest.communicate()
    plain.disconnect(volume.id, second)
    assert plain.find().connections == {}


def test_a_qcow2_file_is_not(plain: FileDriver) -> None:
    volume = make(plain)
    with pytest.raises(errors.AgentError, match="kept as qcow2"):
        plain.connect(volume, ids.new_id(), a_host("host2"), False, ids.new_id())
    assert plain.find().connections == {}


def test_a_target_with_the_directory_joins_an_export_all_the_same(plain: FileDriver) -> None:
    volume, first, second = make(plain), ids.new_id(), ids.new_id()
    source = plain.connect(volume, first, a_host("host1"), False)
    share = plain.get_stats().capabilities["storage_id"]
    there = a_host("host2", shares={share: "/srv"})
    assert plain.connect(volume, second, there, False, first) == source
    shared = make(plain)
    for connection_id, beside in ((first, None), (second, first)):
        plain.disconnect(volume.id, connection_id)
        assert plain.connect(shared, connection_id, there, False, beside).protocol == "file"


def test_records_of_an_earlier_release_are_read(plain: FileDriver, exports: Path) -> None:
    volume, first = make(plain), ids.new_id()
    source = plain.connect(volume, first, a_host("host1"), False)
    record = exports / f"{first}.json"
    record.write_text(json.dumps({key: value for key, value in json.loads(record.read_text()).items()
                                  if key != "joined"}))
    assert plain.connect(volume, ids.new_id(), a_host("host2"), False, first) == source
