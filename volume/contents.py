"""What volumes hold, as content to copy: at rest, of a snapshot, under a running server, or on another node."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostler import errors
from hostler.agent.files import write_atomically
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume import qemu_img
from volume.backends import Backends
from volume.copy_snapshots import CopySnapshots
from volume.drivers.driver import DiskSource, Driver

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
def content_of(driver: Driver, volume: VolumeSpec, snapshot: SnapshotSpec | None, copy_snapshots: CopySnapshots,
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
        with copy_snapshots.taken(driver, volume, mark) as taken:
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
    """Hold the name of a file that is removed afterwards; the caller creates it."""
    path = work / f"{os.urandom(8).hex()}.{suffix}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def content_of_connection(connection: ConnectionSpec, size_gib: int, backends: Backends, work: Path, tls_dir: str
                          ) -> Iterator[DiskSource]:
    """Hold the content of a volume that a node (another, or this one itself) connected to this one; raises
    AgentError. Secrets are in a file below `work` for that time."""
    data = connection.data
    if connection.protocol == LOCAL:
        volume = VolumeSpec.from_wire(data["volume"])
        yield backends.driver(volume.backend).source_of_volume(volume)
        return
    with contextlib.ExitStack() as stack:
        if connection.protocol == "nbd":
            options, objects = _nbd(data, tls_dir)
        elif connection.protocol == "rbd":
            options, objects = _rbd(data, stack.enter_context(scratch_file(work, "key")))
        elif connection.protocol == "fake":
            options, objects = {"driver": "fake", **data}, ()
        else:
            raise errors.AgentError(reason=f"This node cannot read volumes over '{connection.protocol}'.")
        yield DiskSource({"driver": connection.format, "file": options}, size_gib * GIB, objects)


def _nbd(data: dict[str, Any], tls_dir: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    options = {"driver": "nbd", "server": {"type": "inet", "host": data["host"], "port": str(data["port"])},
               "export": data["export"]}
    if not data.get("tls"):
        return options, ()
    if not tls_dir:
        raise errors.AgentError(reason="The volume is exported with TLS, but this node has no certificate: set "
                                       "[volume] tls_dir.")
    options["tls-creds"] = "peer"
    if data.get("tls_name"):
        options["tls-hostname"] = data["tls_name"]
    return options, (f"tls-creds-x509,id=peer,endpoint=client,dir={tls_dir}",)


def _rbd(data: dict[str, Any], key_file: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    options = {"driver": "rbd", "pool": data["pool"], "image": data["image"], "user": data["user"]}
    if data.get("monitors"):
        places = [monitor.rpartition(":") for monitor in data["monitors"]]
        options["server"] = [{"host": host.strip("[]"), "port": port} for host, _, port in places]
    if not data.get("key"):
        return options, ()
    write_atomically(key_file, data["key"].encode())  # 0600; a command line is everybody's to read
    return {**options, "key-secret": "peer"}, (f"secret,id=peer,format=base64,file={key_file}",)


def _plain_path(source: DiskSource) -> Path | None:
    options = source.options
    if options.get("driver") == "raw" and set(options) == {"driver", "file"}:
        options = options["file"]
    if options.get("driver") == "file" and set(options) <= {"driver", "filename", "locking"}:
        return Path(options["filename"])
    return None
