"""From how a volume is offered to what the hypervisor is given: shared files, NBD, RBD."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest

from compute import connections as connections_module
from compute.connections import HostConnections
from compute.layout import Layout
from compute.shares import MARKER
from compute.virt import driver as virt
from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec

SHARE = "22222222-0000-4000-8000-000000000000"


def make_connections(state: Path, **options: object) -> HostConnections:
    conf = hostler_conf.load([], config_files=[], overrides={
        "host": "host1", "state_path": str(state), **{f"compute.{key}": value for key, value in options.items()}})
    return HostConnections(conf, Layout(state))


def attached(connection: ConnectionSpec, **more: object) -> AttachedSpec:
    return AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, device="vdb",
                        connection=connection, **more)  # type: ignore[arg-type]


def shared(path: str = "volume-1", form: str = "raw", share: str = SHARE) -> AttachedSpec:
    return attached(ConnectionSpec(protocol="file", format=form, data={"share": share, "path": path}))


@pytest.fixture
def share(tmp_path: Path) -> Path:
    directory = tmp_path / "volumes" / "local"
    directory.mkdir(parents=True)
    (directory / MARKER).write_text(SHARE + "\n")
    (directory / "volume-1").write_bytes(b"\0" * 4096)
    return directory


def test_a_shared_file_is_found_by_its_directorys_mark(tmp_path: Path, share: Path) -> None:
    connections = make_connections(tmp_path)
    assert connections.connector().shares == {SHARE: str(share)}
    disk = connections.resolve(shared())
    assert disk.source == virt.FileSource(share / "volume-1")
    assert (disk.target, disk.format, disk.readonly, disk.shared) == ("vdb", "raw", False, False)
    assert disk.cache in ("none", "writeback")


def test_configured_directories_are_the_only_ones(tmp_path: Path, share: Path) -> None:
    other = tmp_path / "mounted-elsewhere"
    other.mkdir()
    assert make_connections(tmp_path, volume_shares=[str(other)]).connector().shares == {}
    (other / MARKER).write_text(SHARE)
    assert make_connections(tmp_path, volume_shares=[str(other)]).connector().shares == {SHARE: str(other)}


@pytest.mark.parametrize(("volume", "words"), [
    (shared(share="33333333-0000-4000-8000-000000000000"), "directory is not there"),
    (shared("volume-2"), "file is missing"), (shared("../../../etc/passwd"), "outside"),
    (attached(ConnectionSpec(protocol="iscsi")), "no transport 'iscsi'"),
    (attached(ConnectionSpec(protocol="nbd", data={"host": "127.0.0.1", "port": 1, "export": "e"})),
     "nothing answers")])
def test_what_cannot_be_reached_is_named(tmp_path: Path, share: Path, volume: AttachedSpec, words: str) -> None:
    with pytest.raises(errors.AgentError) as caught:
        make_connections(tmp_path).resolve(volume)
    assert volume.volume_id in str(caught.value) and words in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_nbd_with_and_without_tls(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        data = {"host": "127.0.0.1", "port": listener.getsockname()[1], "export": "e1"}
        plain = make_connections(tmp_path).resolve(attached(ConnectionSpec(protocol="nbd", data=data)))
        assert plain.source == virt.NbdSource("127.0.0.1", data["port"], "e1")
        encrypted = make_connections(tmp_path).resolve(attached(
            ConnectionSpec(protocol="nbd", data={**data, "tls": True, "tls_name": "node1"}), readonly=True))
        assert encrypted.source == virt.NbdSource("127.0.0.1", data["port"], "e1", True, "node1")
        assert encrypted.readonly and encrypted.cache == "none"


def test_rbd_keeps_its_key_out_of_sight(tmp_path: Path) -> None:
    volume = attached(ConnectionSpec(protocol="rbd", data={
        "pool": "volumes", "image": "v1", "monitors": ["10.0.0.1:6789"], "user": "hostler", "key": "c2VjcmV0"}))
    source = make_connections(tmp_path).resolve(volume).source
    assert isinstance(source, virt.RbdSource)
    assert (source.key, source.secret_id, source.monitors) == ("c2VjcmV0", volume.attachment_id, ("10.0.0.1:6789",))
    assert "c2VjcmV0" not in repr(source)


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_a_file_that_no_guest_has_open_is_grown_by_the_host_and_never_shrinks(tmp_path: Path, share: Path,
                                                                              form: str) -> None:
    path = share / "grows"
    subprocess.run(["qemu-img", "create", "-q", "-f", form, str(path), "1M"], check=True)
    connections, volume = make_connections(tmp_path), shared("grows", form)
    for size, expected in ((2 << 20, 2 << 20), (2 << 20, 2 << 20), (1 << 20, 2 << 20)):
        connections.grow(volume, size)
        info = subprocess.run(["qemu-img", "info", "-f", form, str(path)], capture_output=True, text=True, check=True)
        assert f"({expected} bytes)" in info.stdout


def test_a_directory_that_hangs_hangs_nobody(tmp_path: Path, share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections, release = make_connections(tmp_path), threading.Event()
    monkeypatch.setattr(connections_module, "SHARES_TIMEOUT_S", 0.1)
    monkeypatch.setattr(connections, "_shares", lambda: (release.wait(10), {})[1])
    assert connections.connector().shares == {}
    with pytest.raises(errors.AgentError, match="does not answer"):
        connections.resolve(shared())
    release.set()


def test_tls_is_what_the_operator_says(tmp_path: Path) -> None:
    assert make_connections(tmp_path, nbd_tls=True, my_ip="10.0.0.7").connector().tls
    assert not make_connections(tmp_path).connector().tls
