"""What volumes hold, as content to copy: at rest, of a snapshot, under a running server, or on another node."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hostler import errors
from hostler.resources.volume_specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume import qemu_img
from volume.backends import Backends
from volume.drivers.driver import DiskSource, Driver, Progress
from volume.momentary import MomentarySnapshots

GIB = 1024**3
# Protocol of a volume's connection to the very node it is on: no export is needed, whatever the driver could do.
LOCAL = "local"


def is_own(connector: ConnectorSpec, node: str) -> bool:
    """Return whether a node is to be connected to a volume of its own (a move from one of its back ends to another)."""
    return connector.host == node and LOCAL in connector.protocols


def connect_locally(volume: VolumeSpec) -> ConnectionSpec:
    """Return the connection of a node to a volume of its own."""
    return ConnectionSpec(protocol=LOCAL, data={"volume": volume.to_wire()})


@contextlib.contextmanager
def content_of(driver: Driver, volume: VolumeSpec, snapshot: SnapshotSpec | None, momentary: MomentarySnapshots,
               mark: str) -> Iterator[DiskSource]:
    """Hold content to read: the snapshot's, or the volume's.

    A volume that a server has is read from a snapshot with the id `mark`, made for this and removed after; the back
    end must be able to. Raises AgentError.
    """
    if snapshot is not None:
        yield driver.source_of_snapshot(snapshot, volume)
    elif not volume.attached:
        yield driver.source_of_volume(volume)
    else:
        with momentary.taken(driver, volume, mark) as taken:
            yield driver.source_of_snapshot(taken, volume)


@contextlib.contextmanager
def raw_file(source: DiskSource, work: Path, progress: Progress) -> Iterator[Path]:
    """Hold a raw file of the content: the source's own where it is one, else a copy that goes afterwards."""
    own = _plain_path(source)
    if own is not None:
        yield own
        return
    with scratch_file(work, "raw") as path:
        qemu_img.convert(source, str(path), "raw", progress, durable=False)
        yield path


@contextlib.contextmanager
def scratch_file(work: Path, suffix: str) -> Iterator[Path]:
    """Hold the name of a file that is removed afterwards; whoever wants it makes it."""
    path = work / f"{os.urandom(8).hex()}.{suffix}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def content_of_connection(connection: ConnectionSpec, size_gib: int, backends: Backends, tls_dir: str) -> DiskSource:
    """Return the content of a volume that a node (another, or this one itself) connected to this one; raises
    AgentError."""
    data = connection.data
    if connection.protocol == LOCAL:
        volume = VolumeSpec.from_wire(data["volume"])
        return backends.driver(volume.backend).source_of_volume(volume)
    objects: tuple[str, ...] = ()
    if connection.protocol == "nbd":
        server = {"type": "inet", "host": data["host"], "port": str(data["port"])}
        inner = {"driver": "nbd", "server": server, "export": data["export"]}
        if data.get("tls"):
            if not tls_dir:
                raise errors.AgentError(reason="The volume is exported with TLS, but this node has no certificate: "
                                               "set [volume] tls_dir.")
            objects = (f"tls-creds-x509,id=peer,endpoint=client,dir={tls_dir}",)
            inner |= {"tls-creds": "peer"}
            if data.get("tls_name"):
                inner |= {"tls-hostname": data["tls_name"]}
    elif connection.protocol == "rbd":
        # Keys come from the node's own Ceph configuration: they must not stand on a command line.
        inner = {"driver": "rbd", "pool": data["pool"], "image": data["image"], "user": data["user"]}
    elif connection.protocol == "fake":
        inner = {"driver": "fake", **data}
    else:
        raise errors.AgentError(reason=f"This node cannot read volumes over '{connection.protocol}'.")
    return DiskSource({"driver": connection.format, "file": inner}, size_gib * GIB, objects)


def _plain_path(source: DiskSource) -> Path | None:
    options = source.options
    if options.get("driver") == "raw" and set(options) == {"driver", "file"}:
        options = options["file"]
    if options.get("driver") == "file" and set(options) <= {"driver", "filename", "locking"}:
        return Path(options["filename"])
    return None
