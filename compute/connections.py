"""Translates how a volume is offered into how this host's hypervisor reaches it, and says what this host can reach.

A connection names a share by identity, never a path of this host's; what cannot be reached is refused here, with the
volume's id, before the hypervisor stumbles over it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
from pathlib import Path
from typing import Protocol

from oslo_config import cfg

from compute.deadline import DeadlineRunner
from compute.diskfile import run_tool
from compute.layout import Layout
from compute.shares import directories_of, find_shares
from compute.virt.driver import FileSource, NbdSource, RbdSource, Source, VolumeDisk
from hostler import errors
from hostler.agent.confine import confined
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec
from hostler.resources.volume.specs import ConnectorSpec

LOG = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 5
SHARES_TIMEOUT_S = 5.0
INFO_TIMEOUT_S = 30


class Connections(Protocol):
    """What the agent needs to know of volumes' transports."""

    def connector(self) -> ConnectorSpec:
        """Return how this host can reach volumes."""

    def resolve(self, volume: AttachedSpec) -> VolumeDisk:
        """Return the disk to give to the hypervisor; raises AgentError, naming the volume, when it is not there."""

    def grow(self, volume: AttachedSpec, size_bytes: int) -> None:
        """Grow a volume that no guest has open, where this is the host's work (a file)."""


class HostConnections:
    """The transports of a real host: shared files, NBD, RBD."""

    def __init__(self, conf: cfg.ConfigOpts, layout: Layout) -> None:
        self._conf = conf
        self._layout = layout
        self._runner = DeadlineRunner("A directory of volumes", limit=8)

    def connector(self) -> ConnectorSpec:
        """Return what this host can, with the shares it sees now: none, while one of them hangs."""
        options = self._conf.compute
        try:
            shares = self._runner.run(self._shares, SHARES_TIMEOUT_S)
        except errors.Unavailable as error:
            LOG.warning("%s This host attaches no volumes as files until it answers.", error)
            shares = {}
        return ConnectorSpec(host=self._conf.host, ip=options.my_ip, tls=options.nbd_tls,
                             sends_disks=options.tls_dir is not None,
                             shares={share: str(path) for share, path in shares.items()})

    def resolve(self, volume: AttachedSpec) -> VolumeDisk:
        """Find the volume's file, or check that its export's port is open."""
        connection = volume.connection
        cache = "none"
        source: Source
        if connection.protocol == "file":
            path, cache = self._look(volume)
            source = FileSource(path)
        elif connection.protocol == "nbd":
            source = _nbd(volume)
        elif connection.protocol == "rbd":
            source = _rbd(volume.attachment_id, connection)
        else:
            raise _broken(volume, f"this host knows no transport '{connection.protocol}'")
        return VolumeDisk(volume.volume_id, volume.device or "vdy", source, connection.format, cache, volume.readonly,
                          volume.shared, volume.boot_index, connection.limits)

    def grow(self, volume: AttachedSpec, size_bytes: int) -> None:
        """Grow the file; other transports' volumes are grown by their back end."""
        if volume.connection.protocol != "file":
            return
        path, form = self._look(volume)[0], volume.connection.format
        if _size_of(path, form) < size_bytes:
            run_tool(["qemu-img", "resize", "-q", "-f", form, str(path), str(size_bytes)])

    def _shares(self) -> dict[str, Path]:
        return find_shares(directories_of(self._conf.compute.volume_shares, self._layout.volumes))

    def _look(self, volume: AttachedSpec) -> tuple[Path, str]:
        """Return the volume's file, and the cache mode for it."""
        def find() -> tuple[Path, str]:
            path = self._path(volume)
            return path, _cache_for(path)

        try:
            return self._runner.run(find, SHARES_TIMEOUT_S)
        except errors.Unavailable as error:
            raise _broken(volume, "its directory does not answer on the server's host") from error

    def _path(self, volume: AttachedSpec) -> Path:
        data = volume.connection.data
        directory = self._shares().get(data["share"])
        if directory is None:
            raise _broken(volume, "its directory is not there on the server's host (is it mounted?)")
        path = directory / data["path"]
        if not path.resolve().is_relative_to(directory.resolve()):
            raise _broken(volume, "its file is outside of its directory")
        if not path.is_file():
            raise _broken(volume, "its file is missing")
        return path


def _nbd(volume: AttachedSpec) -> NbdSource:
    data = volume.connection.data
    source = NbdSource(data["host"], int(data["port"]), data["export"], bool(data.get("tls")), data.get("tls_name"))
    try:
        socket.create_connection((source.host, source.port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise _broken(volume, f"nothing answers where it is exported ({error.strerror or 'timed out'})") from error
    return source


def _rbd(attachment_id: str, connection: ConnectionSpec) -> RbdSource:
    data = connection.data
    key = data.get("key")
    return RbdSource(data["pool"], data["image"], tuple(data["monitors"]), data.get("user"), key,
                     attachment_id if key else None)


def _broken(volume: AttachedSpec, why: str) -> errors.AgentError:
    return errors.AgentError(reason=f"Volume {volume.volume_id} cannot be reached: {why}.")


def _cache_for(path: Path) -> str:
    """Return the cache mode for a file: none where its file system does direct I/O (not tmpfs, some FUSE)."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return "writeback"
    return "none"


def _size_of(path: Path, form: str) -> int:
    if form == "raw":
        return path.stat().st_size
    done = subprocess.run(confined(["qemu-img", "info", "-U", "-f", form, "--output", "json", str(path)]),
                          capture_output=True, text=True, check=False, timeout=INFO_TIMEOUT_S)
    if done.returncode:
        raise errors.AgentError(reason="A volume's file cannot be read on the host.")
    return int(json.loads(done.stdout)["virtual-size"])
