"""A volume that moves from one storage node to another: read over its export, encrypted or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectorSpec
from tests.harness.file_backend import (
    MakeDriver,
    a_volume,
    certificates,
    ignore,
    make_driver,
    need_qemu,
    state,
)
from volume import contents, qemu_img
from volume.backends import Backends
from volume.drivers.driver import DiskSource

__all__ = ["certificates", "make_driver", "need_qemu", "state"]
MIB = 1 << 20


@pytest.fixture
def content(tmp_path: Path) -> DiskSource:
    path = tmp_path / "content"
    with path.open("wb") as file:
        file.write(os.urandom(2 * MIB))
        file.truncate(64 * MIB)
    return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, 64 * MIB)


def begins_alike(moved: DiskSource, path: Path, content: DiskSource) -> bool:
    """Return whether a volume holds a content."""
    qemu_img.convert(moved, str(path), "raw", ignore)
    with path.open("rb") as found, Path(content.options["file"]["filename"]).open("rb") as wanted:
        return found.read(4 * MIB) == wanted.read(4 * MIB)


@pytest.mark.parametrize("encrypted", [True, False], ids=["tls", "plain"])
def test_the_other_node_reads_the_export(make_driver: MakeDriver, certificates: Path, tmp_path: Path,
                                         content: DiskSource, encrypted: bool) -> None:
    tls = {"volume_tls_dir": str(certificates / "node1"), "volume_insecure_exports": False} if encrypted else {}
    source, target = make_driver(**tls), make_driver("second", node="host1")
    for driver in (source, target):
        driver.open()
    volume, attachment_id = a_volume(1), ids.new_id()
    source.create_volume(volume, content, ignore)
    peer = ConnectorSpec(host="host1", protocols=("local", "nbd", "rbd"), tls=encrypted)
    connection = source.connect(volume, attachment_id, peer, True)
    assert connection.data["tls"] is encrypted
    with contents.content_of_connection(connection, 1, Backends([]), tmp_path, str(certificates / "host1")) as export:
        target.create_volume(volume, export, ignore)
        source.disconnect(volume.id, attachment_id)
        assert begins_alike(target.source_of_volume(volume), tmp_path / "moved", content)
        with pytest.raises(errors.AgentError):
            qemu_img.convert(export, str(tmp_path / "late"), "raw", ignore)


def test_no_other_node_gets_in(make_driver: MakeDriver, certificates: Path, tmp_path: Path, content: DiskSource
                               ) -> None:
    source = make_driver(volume_tls_dir=str(certificates / "node1"), volume_insecure_exports=False)
    source.open()
    volume = a_volume(1)
    source.create_volume(volume, content, ignore)
    connection = source.connect(volume, ids.new_id(), ConnectorSpec(host="host1", tls=True), True)
    for wrong in ("host2", "foreign"):
        with pytest.raises(errors.AgentError), \
                contents.content_of_connection(connection, 1, Backends([]), tmp_path,
                                               str(certificates / wrong)) as export:
            qemu_img.convert(export, str(tmp_path / wrong), "raw", ignore)
