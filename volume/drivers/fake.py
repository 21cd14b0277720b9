"""A back end whose volumes are small JSON files: for tests, trials of scale, and crashes on order.

What a volume holds is one word, its token. Copies carry it from volume to snapshot to volume, so that tests see
whether the right content arrived; `content` and `write` look at it and change it. To QEMU's tools a fake volume is a
sparse raw file that begins with the token, made when somebody asks for it; a foreign content's token is its digest.

    <state_path>/volume/fake/<back end>/{volumes,snapshots,connections}/<id>.json   what is whole
    <state_path>/volume/fake/<back end>/volumes/<id>.part                           being made
    <state_path>/volume/fake/<back end>/raw/                                        see above
    <state_path>/volume/fake/faults.json                                            orders, see `hostler.agent.faults`
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oslo_config import cfg

from hostler import errors
from hostler.agent.faults import Faults
from hostler.agent.files import write_atomically
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume.drivers.driver import DiskSource, Found, Provider, Stats
from volume.drivers.loading import BackendConfig

GIB = 1024**3
CONTENT_MARK = b"HOSTLER FAKE VOLUME\n"
_HEAD_BYTES = 1 << 20
KINDS = ("volumes", "snapshots", "connections")

OPTS = [
    cfg.IntOpt("capacity_gib", default=100_000, min=1, help="Size the fake back end claims to have, GiB."),
    cfg.FloatOpt("delay", default=0.0, min=0.0, help="Seconds that every change on the fake back end takes."),
    cfg.StrOpt("protocol", default="fake", help="Connection protocol the fake back end claims to speak."),
    cfg.BoolOpt("multiattach", default=True, help="Whether the fake back end claims to support multi-attach."),
    cfg.BoolOpt("online_extend", default=True, help="Whether attached volumes of the fake back end may grow."),
]

Entry = dict[str, Any]


def build(backend: BackendConfig) -> FakeDriver:
    """Return the driver of one fake back end."""
    options = backend.options
    protocol = options.protocol
    capabilities = {"storage_protocol": protocol, "multiattach": options.multiattach, "thin_provisioning": True,
                    "online_extend": [protocol] if options.online_extend else [], "online_snapshot": True}
    return FakeDriver(backend.layout.fake / backend.name, faults=backend.faults, capacity_gib=options.capacity_gib,
                      delay_s=options.delay, capabilities=capabilities)


class FakeDriver:
    """Implements `volume.drivers.driver.Driver`; safe for use by many threads."""

    def __init__(self, directory: Path, *, faults: Faults | None = None, capacity_gib: int = 100_000,
                 delay_s: float = 0.0, capabilities: dict[str, Any] | None = None) -> None:
        self.faults = faults or Faults()
        self.healthy = True
        self.capabilities: dict[str, Any] = {"storage_protocol": "fake", "multiattach": True, "thin_provisioning": True,
                             "online_extend": ["fake"], "online_snapshot": True} | (capabilities or {})
        self._directory = directory
        self._capacity_gib = capacity_gib
        self._delay_s = delay_s
        self._lock = threading.RLock()
        self._entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}

    def open(self) -> None:
        """Find what a former process left."""
        self._answer("open", None)
        with self._lock:
            for kind in (*KINDS, "raw"):
                (self._directory / kind).mkdir(parents=True, exist_ok=True)
            for kind in KINDS:
                self._entries[kind] = {path.stem: json.loads(path.read_text())
                                       for path in (self._directory / kind).glob("*.json")}

    def close(self) -> None:
        """Nothing is held."""

    def get_stats(self) -> Stats:
        """Return the size claimed; what volumes take is really taken."""
        self._answer("get_stats", None)
        with self._lock:
            used = sum(entry["size_gib"] for entry in self._entries["volumes"].values())
        storage_id = str(uuid.uuid5(uuid.NAMESPACE_URL, str(self._directory)))
        return Stats(float(self._capacity_gib), float(self._capacity_gib - used),
                     {"storage_id": storage_id, **self.capabilities})

    def find(self) -> Found:
        """Return what is there, what is not whole included."""
        self._answer("find", None)
        with self._lock:
            parts = {path.stem for path in (self._directory / "volumes").glob("*.part")}
            connections = {key: entry["volume_id"] for key, entry in self._entries["connections"].items()}
            return Found(tuple(sorted(parts | set(self._entries["volumes"]))),
                         tuple(sorted(self._entries["snapshots"])), connections)

    def create_volume(self, volume: VolumeSpec, source: DiskSource | None, progress: Progress) -> Provider:
        """Make a volume whose token is the source's."""
        return self._make_volume("create_volume", volume, progress, lambda: "" if source is None else _token(source))

    def clone_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Make a volume with a snapshot's token."""
        return self._make_volume("clone_snapshot", volume, progress,
                                 lambda: self._entry("snapshots", snapshot.id)["content"])

    def clone_volume(self, volume: VolumeSpec, source: VolumeSpec, progress: Progress) -> Provider:
        """Make a volume with another's token."""
        return self._make_volume("clone_volume", volume, progress,
                                 lambda: self._entry("volumes", source.id)["content"])

    def delete_volume(self, volume: VolumeSpec) -> None:
        """Remove a volume with its connections."""
        self._answer("delete_volume:before", volume.id, change=True)
        with self._lock:
            kept = [key for key, entry in self._entries["snapshots"].items() if entry["volume_id"] == volume.id]
            if kept:
                raise errors.AgentError(reason=f"Volume {volume.id} has snapshots.")
            for key in [key for key, entry in self._entries["connections"].items()
                        if entry["volume_id"] == volume.id]:
                self._drop("connections", key)
            (self._directory / "volumes" / f"{volume.id}.part").unlink(missing_ok=True)
            (self._directory / "raw" / volume.id).unlink(missing_ok=True)
            self._drop("volumes", volume.id)
        self._answer("delete_volume:after", volume.id)

    def extend_volume(self, volume: VolumeSpec, size_gib: int) -> Provider:
        """Grow it."""
        with self._changing("extend_volume", volume.id) as entry:
            if size_gib < entry["size_gib"]:
                raise errors.AgentError(reason="A volume cannot shrink.")
            entry["size_gib"] = size_gib
        return _provider(volume.id)

    def create_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec, progress: Progress) -> Provider:
        """Keep the token."""
        self._answer("create_snapshot:before", snapshot.id, change=True)
        with self._lock:
            origin = self._entry("volumes", volume.id)
            if snapshot.id not in self._entries["snapshots"]:
                self._put("snapshots", snapshot.id, {"volume_id": volume.id, "size_gib": origin["size_gib"],
                                                     "content": origin["content"]})
        self._answer("create_snapshot:after", snapshot.id)
        return _provider(snapshot.id)

    def delete_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> None:
        """Remove it."""
        self._answer("delete_snapshot:before", snapshot.id, change=True)
        with self._lock:
            (self._directory / "raw" / snapshot.id).unlink(missing_ok=True)
            self._drop("snapshots", snapshot.id)
        self._answer("delete_snapshot:after", snapshot.id)

    def revert_to_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Take over the token."""
        with self._changing("revert_to_snapshot", volume.id) as entry:
            entry["content"] = self._entry("snapshots", snapshot.id)["content"]
        return _provider(volume.id)

    def overwrite_volume(self, volume: VolumeSpec, source: DiskSource, progress: Progress) -> Provider:
        """Take over the source's token."""
        with self._changing("overwrite_volume", volume.id) as entry:
            progress(50)
            entry["content"] = _token(source)
        return _provider(volume.id)

    def source_of_volume(self, volume: VolumeSpec) -> DiskSource:
        """Return a raw file that begins with the token."""
        return self._raw("volumes", volume.id)

    def source_of_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> DiskSource:
        """Return a raw file that begins with the token."""
        return self._raw("snapshots", snapshot.id)

    def connect(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec, readonly: bool,
                beside: str | None = None) -> ConnectionSpec:
        """Note the connection; its data say where another fake back end finds the volume's token."""
        self._answer("connect:before", volume.id, change=True)
        with self._lock:
            self._entry("volumes", volume.id)
            self._put("connections", attachment_id, {"volume_id": volume.id, "host": connector.host,
                                                     "readonly": readonly})
        self._answer("connect:after", volume.id)
        return ConnectionSpec(protocol=self.capabilities["storage_protocol"],
                              data={"path": str(self._path("volumes", volume.id))})

    def disconnect(self, volume_id: str, attachment_id: str) -> None:
        """Forget the connection."""
        self._answer("disconnect:before", volume_id, change=True)
        with self._lock:
            self._drop("connections", attachment_id)
        self._answer("disconnect:after", volume_id)

    def shut_out(self, volume: VolumeSpec, attachment_id: str, _connector: ConnectorSpec) -> None:
        """Forget the connection."""
        self.disconnect(volume.id, attachment_id)

    def content(self, volume_id: str) -> str:
        """Return a volume's token."""
        return str(self._entry("volumes", volume_id)["content"])

    def write(self, volume_id: str, content: str) -> None:
        """Change a volume's token, as a guest would."""
        with self._lock:
            self._put("volumes", volume_id, {**self._entry("volumes", volume_id), "content": content})

    def size_gib(self, volume_id: str) -> int:
        """Return a volume's size."""
        return int(self._entry("volumes", volume_id)["size_gib"])

    def _make_volume(self, verb: str, volume: VolumeSpec, progress: Progress, token: Callable[[], str]) -> Provider:
        part = self._directory / "volumes" / f"{volume.id}.part"
        self._answer(f"{verb}:before", volume.id)
        with self._lock:
            made = volume.id in self._entries["volumes"]
        if not made:
            if volume.size_gib > self._capacity_gib:
                raise errors.AgentError(reason="The storage has no space left.")
            part.touch()
            self._answer(f"{verb}:middle", volume.id, change=True)
            progress(50)
            content = token()
            with self._lock:
                self._put("volumes", volume.id, {"size_gib": volume.size_gib, "content": content})
            part.unlink(missing_ok=True)
        self._answer(f"{verb}:after", volume.id)
        return _provider(volume.id)

    @contextlib.contextmanager
    def _changing(self, verb: str, volume_id: str) -> Iterator[Entry]:
        """Hand out a volume's entry to be changed; it is written when the body ends well."""
        self._answer(f"{verb}:before", volume_id, change=True)
        entry = self._entry("volumes", volume_id)
        yield entry
        self._put("volumes", volume_id, entry)
        self._answer(f"{verb}:after", volume_id)

    def _answer(self, step: str, resource_id: str | None, *, change: bool = False) -> None:
        self.faults.reach(f"volume.{step}", resource_id)
        if not self.healthy:
            raise errors.AgentError(reason="The fake back end was told to be away.")
        if change and self._delay_s:
            time.sleep(self._delay_s)

    def _path(self, kind: str, key: str) -> Path:
        return self._directory / kind / f"{key}.json"

    def _entry(self, kind: str, key: str) -> Entry:
        with self._lock:
            entry = self._entries[kind].get(key)
        if entry is None:
            raise errors.AgentError(reason=f"{kind[:-1].capitalize()} {key} is not on the back end.")
        return dict(entry)

    def _put(self, kind: str, key: str, entry: Entry) -> None:
        with self._lock:
            write_atomically(self._path(kind, key), json.dumps(entry).encode())
            self._entries[kind][key] = entry

    def _drop(self, kind: str, key: str) -> None:
        with self._lock:
            self._path(kind, key).unlink(missing_ok=True)
            self._entries[kind].pop(key, None)

    def _raw(self, kind: str, key: str) -> DiskSource:
        entry = self._entry(kind, key)
        path, size_bytes = self._directory / "raw" / key, entry["size_gib"] * GIB
        with path.open("wb") as file:
            file.write(CONTENT_MARK + entry["content"].encode() + b"\n" if entry["content"] else b"")
            file.truncate(size_bytes)
        return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, size_bytes)


def _provider(key: str) -> Provider:
    return {"fake": key}


def _token(source: DiskSource) -> str:
    """Return what a fake volume made from this content is to hold."""
    inner = source.options.get("file", source.options)
    if inner.get("driver") == "fake":  # another fake back end's volume, connected to this node
        try:
            return str(json.loads(Path(inner["path"]).read_text())["content"])
        except FileNotFoundError:
            raise errors.AgentError(reason="The volume to be copied is gone.") from None
    if "filename" not in inner:
        return "elsewhere:" + hashlib.sha256(json.dumps(source.options, sort_keys=True).encode()).hexdigest()[:16]
    with Path(inner["filename"]).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(CONTENT_MARK):
        return head[len(CONTENT_MARK):].partition(b"\n")[0].decode()
    return "" if head.count(0) == len(head) else "sha256:" + hashlib.sha256(head).hexdigest()[:16]
