"""A whole volume agent on fake back ends and the in-memory bus, with a conductor that notes what it hears."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg

from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.bus import rpc_method
from hostler.context import RequestContext
from hostler.resources.server.specs import ImageSpec
from hostler.resources.volume.specs import SnapshotSpec, SourceSpec, VolumeSpec
from tests.harness.contexts import attempt_of
from volume import qemu_img
from volume.backups.store import BackupStore
from volume.drivers.driver import DiskSource
from volume.drivers.fake import FakeDriver
from volume.rpcapi import VolumeAPI
from volume.service import VolumeService

CTX = RequestContext.system()
NODE = "node1"
GIB = 1024**3
BACKENDS = "[volume]\nenabled_backends = red, blue\n[backend:red]\ndriver = fake\n[backend:blue]\ndriver = fake\n"


class Conductor:
    """Notes what agents say; `verdict` is its answer to reconciliations, or it is silent."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.reset()

    def reset(self) -> None:
        self.silent = False
        self.progress: list[tuple[str, int, int]] = []
        self.present: list[dict[str, Any]] = []
        self.verdict: Callable[[dict[str, Any]], dict[str, Any]] = lambda present: {}

    @rpc_method
    def volume_heartbeat(self, context: RequestContext, node: str, report: dict[str, Any]) -> dict[str, Any]:
        self._speak()
        self.reports.append(report)
        return {"accepted": True}

    @rpc_method
    def volume_reconcile(self, context: RequestContext, node: str, present: dict[str, Any]) -> dict[str, Any]:
        self._speak()
        self.present.append(present)
        return self.verdict(present)

    @rpc_method
    def report_progress(self, context: RequestContext, percent: int) -> bool:
        self.progress.append((str(context.operation_id), context.attempt, percent))
        return True

    def _speak(self) -> None:
        if self.silent:
            raise errors.Silent(part="The conductor service")


@dataclasses.dataclass
class Agent:
    """A running agent and how to reach it."""

    service: VolumeService
    api: VolumeAPI
    conductor: Conductor
    home: Path

    def fake(self, backend: str = "red") -> FakeDriver:
        driver = self.service.backends.driver(backend)
        assert isinstance(driver, FakeDriver)
        return driver

    @property
    def store(self) -> BackupStore:
        return BackupStore(self.home / "backups", self.home / "volume" / "backup-store.json")

    def create(self, backend: str = "red", size_gib: int = 1, **source: Any) -> VolumeSpec:
        """Make a volume from what `source` names."""
        volume = new_volume(backend, size_gib)
        self.api.create_volume(attempt_of(ids.new_id()), NODE, volume, SourceSpec(**source))
        return volume


def load(state: Path, **overrides: object) -> cfg.ConfigOpts:
    state.mkdir(parents=True, exist_ok=True)
    file = state / "volume.conf"
    if not file.exists():
        file.write_text(BACKENDS)
    return hostler_conf.load(config_files=[str(file)], overrides={
        "host": NODE, "state_path": str(state), "transport_url": "kombu+memory:////", "heartbeat_interval": 1,
        "bus.worker_threads": 16, **overrides})


def new_volume(backend: str = "red", size_gib: int = 1, **values: Any) -> VolumeSpec:
    return VolumeSpec(**{"id": ids.new_id(), "backend": backend, "size_gib": size_gib, **values})


def new_snapshot(volume: VolumeSpec) -> SnapshotSpec:
    return SnapshotSpec(id=ids.new_id(), volume_id=volume.id, size_gib=volume.size_gib)


def make_image(directory: Path, disk_format: str = "qcow2", size_bytes: int = 64 << 20,
               content: bytes = b"an image") -> ImageSpec:
    """Write an image file and return how an agent fetches it."""
    directory.mkdir(parents=True, exist_ok=True)
    raw, path = directory / "image.raw", directory / f"image.{disk_format}"
    with raw.open("wb") as file:
        file.write(content)
        file.truncate(size_bytes)
    if disk_format != "raw":
        qemu_img.convert(DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(raw)}}, size_bytes),
                         str(path), disk_format, lambda _percent: None)
    return describe_image(path, disk_format, size_bytes)


def describe_image(path: Path, disk_format: str, virtual_bytes: int) -> ImageSpec:
    return ImageSpec(id=ids.new_id(), sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                     size_bytes=path.stat().st_size, virtual_size_bytes=virtual_bytes, disk_format=disk_format,
                     path=str(path))


def wait_for(condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()
