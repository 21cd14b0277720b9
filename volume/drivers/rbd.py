"""A pool of a Ceph cluster as back end: volumes are RBD images, which hosts open by themselves, over the network.

    volume-<id>                 a volume
    part-<id>                   one that is being made; renamed when it is whole
    volume-<id>@snapshot-<id>   a snapshot
    volume-<id>@clone-<id>      the moment from which another volume is being made

Volumes made from snapshots and volumes share their data (clones, version 2) until `rbd_max_clone_depth` of them stand
on one another. A volume that others still need goes to the pool's trash when it is deleted, and for good with the last
of them. The pool keeps who is connected to what, and whose it is: two back ends in one pool would take each other's
volumes for leftovers.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator

from oslo_config import cfg

from hostler import errors
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume import qemu_img
from volume.drivers.driver import DiskSource, Found, Provider, Stats
from volume.drivers.loading import BackendConfig
from volume.drivers.rbd_cluster import Cluster, Image

GIB = 1024**3
_LOCK = "exclusive-lock"
_VOLUME, _PART, _SNAPSHOT, _MOMENT = "volume-", "part-", "snapshot-", "clone-"
_OWNER, _CONNECTION = "owner ", "connection "
# Ceph takes 30 s to forget a client that died with an image open.
_BUSY_S = 40.0
_LOOK_S = 1.0

OPTS = [
    cfg.StrOpt("rbd_pool", default="volumes",
               help="Pool of the Ceph cluster. It belongs to this back end alone: whatever else is called volume-… in "
                    "it is taken for a leftover."),
    cfg.StrOpt("rbd_user", default="hostler",
               help="Ceph user of the node and of the hosts, which get the key with each volume; needs the rights "
                    "'profile rbd' on monitors and 'profile rbd pool=<rbd_pool>' on OSDs and managers. "
                    "Without 'client.'."),
    cfg.StrOpt("rbd_ceph_conf", default="/etc/ceph/ceph.conf",
               help="Ceph's configuration on the node: the monitors, and where the user's keyring is."),
    cfg.IntOpt("rbd_max_clone_depth", default=5, min=0, max=50,
               help="How many volumes may stand on one another, each sharing the data of the one it was made from; "
                    "the next one is a full copy. 0: all are full copies."),
    cfg.IntOpt("rbd_timeout", default=30, min=1,
               help="Seconds the cluster may be silent before a command gives up."),
]


def build(backend: BackendConfig) -> RbdDriver:
    """Return the driver of one pool."""
    options = backend.options
    cluster = Cluster(options.rbd_pool, options.rbd_user, options.rbd_ceph_conf, options.rbd_timeout)
    return RbdDriver(cluster, owner=f"{backend.node}@{backend.name}", max_depth=options.rbd_max_clone_depth)


class RbdDriver:
    """Implements `volume.drivers.driver.Driver`; safe for use by many threads."""

    def __init__(self, cluster: Cluster, *, owner: str, max_depth: int) -> None:
        self._cluster = cluster
        self._owner = owner
        self._max_depth = max_depth

    def open(self) -> None:
        """See that the pool answers and is this back end's; raises AgentError with what to do."""
        cluster = self._cluster
        own = _OWNER + self._owner
        cluster.usage()
        cluster.set_mark(own)
        others = [mark for mark in cluster.marks() if mark.startswith(_OWNER) and mark != own]
        if others:
            cluster.drop_mark(own)
            raise errors.AgentError(
                reason=f"The pool '{cluster.pool}' belongs to the back end {others[0].removeprefix(_OWNER)}. If that "
                       f"is gone for good: rados -p {cluster.pool} rmomapkey hostler.marks '{others[0]}'.")

    def close(self) -> None:
        """Nothing is held."""

    def get_stats(self) -> Stats:
        """Return the pool's size, its copies not counted."""
        stored, free = self._cluster.usage()
        return Stats((stored + free) / GIB, free / GIB, {
            "storage_protocol": "rbd", "multiattach": True, "thin_provisioning": True, "online_extend": ["rbd"],
            "online_snapshot": True,
            # The pool's mark sees to it that no other back end has it.
            "storage_id": self._owner})

    def find(self) -> Found:
        """Return what is there; on the way, the trash is emptied of what nothing needs any more."""
        volumes: set[str] = set()
        snapshots: list[str] = []
        for name, moments in self._cluster.list_images().items():
            if name.startswith((_VOLUME, _PART)):
                volumes.add(name.partition("-")[2])
            snapshots += [moment.removeprefix(_SNAPSHOT) for moment in moments if moment.startswith(_SNAPSHOT)]
            volumes.update(moment.removeprefix(_MOMENT) for moment in moments if moment.startswith(_MOMENT))
        for image_id, name in self._cluster.list_trash().items():
            if name.startswith((_VOLUME, _PART)):
                self._cluster.remove_trash(image_id)
        return Found(tuple(sorted(volumes)), tuple(sorted(snapshots)), dict(self._connections()))

    def create_volume(self, volume: VolumeSpec, source: DiskSource | None, progress: Progress) -> Provider:
        """Make an image, and copy the source into it."""
        with self._making(volume) as part:
            if part is not None:
                self._cluster.create_image(part, volume.size_gib, shared=volume.multiattach)
                if source is not None:
                    self._fill(part, source, progress)
        return {}

    def clone_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Make an image that shares the snapshot's data."""
        with self._making(volume) as part:
            if part is not None:
                origin = self._need(snapshot.volume_id, snapshot.id)
                self._clone(origin, _SNAPSHOT + snapshot.id, part, volume, progress)
        return {}

    def clone_volume(self, volume: VolumeSpec, source: VolumeSpec, progress: Progress) -> Provider:
        """Make an image that shares the data the source has now."""
        with self._making(volume) as part:
            if part is not None:
                origin, moment = self._need(source.id), _MOMENT + volume.id
                self._cluster.remove_snapshot(origin.name, moment)  # of a try that was cut short
                self._cluster.create_snapshot(origin.name, moment)
                self._clone(origin, moment, part, volume, progress)
                self._cluster.remove_snapshot(origin.name, moment)
        return {}

    def delete_volume(self, volume: VolumeSpec) -> None:
        """Remove the image, or put it out of sight while other volumes share its data."""
        name = _VOLUME + volume.id
        whole = self._cluster.find_image(name)
        snapshots = self._cluster.list_snapshots(name) if whole else ()
        if any(snapshot.startswith(_SNAPSHOT) for snapshot in snapshots):
            raise errors.AgentError(reason=f"Volume {volume.id} has snapshots.")
        for snapshot in snapshots:  # moments of clones that were cut short: the repeat makes its own
            self._cluster.remove_snapshot(name, snapshot)
        self._drop_part(volume.id)
        if whole is None:
            self._drop_moments(volume.id)
        else:
            self._remove(volume.id, name)
            self._free_parents(whole)
        for attachment_id, volume_id in self._connections():
            if volume_id == volume.id:
                self.disconnect(volume_id, attachment_id)

    def extend_volume(self, volume: VolumeSpec, size_gib: int) -> Provider:
        """Grow the image, also under a server: its host then tells QEMU."""
        image = self._need(volume.id)
        if image.size_bytes > size_gib * GIB:
            raise errors.AgentError(reason="A volume cannot shrink.")
        if image.size_bytes < size_gib * GIB:
            self._cluster.resize(image.name, size_gib)
        return {}

    def create_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec, progress: Progress) -> Provider:
        """Keep the present content, also under a server."""
        self._cluster.create_snapshot(self._need(volume.id).name, _SNAPSHOT + snapshot.id)
        return {}

    def delete_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> None:
        """Remove it, from sight as long as clones need it."""
        self._cluster.remove_snapshot(_VOLUME + snapshot.volume_id, _SNAPSHOT + snapshot.id)

    def revert_to_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Copy the snapshot's content back; its size comes back, too, and is then set again."""
        name = self._need(volume.id, snapshot.id).name
        self._cluster.roll_back(name, _SNAPSHOT + snapshot.id, progress)
        if self._need(volume.id).size_bytes < volume.size_gib * GIB:
            self._cluster.resize(name, volume.size_gib)
        return {}

    def overwrite_volume(self, volume: VolumeSpec, source: DiskSource, progress: Progress) -> Provider:
        """Empty the image, then fill it. Its size is nothing for a moment; a repeat after a crash restores it."""
        image = self._need(volume.id)
        if image.size_bytes:
            self._cluster.resize(image.name, 0, shrink=True)
        self._cluster.resize(image.name, volume.size_gib)
        self._fill(image.name, source, progress)
        return {}

    def source_of_volume(self, volume: VolumeSpec) -> DiskSource:
        """Return how QEMU's tools on this node open it."""
        image = self._need(volume.id)
        return DiskSource(self._cluster.blockdev(image.name), image.size_bytes)

    def source_of_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> DiskSource:
        """Return how QEMU's tools on this node open it."""
        image = self._need(snapshot.volume_id, snapshot.id)
        return DiskSource(self._cluster.blockdev(image.name, _SNAPSHOT + snapshot.id), image.size_bytes)

    def connect(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec, readonly: bool,
                beside: str | None = None) -> ConnectionSpec:
        """Note the connection and say where the image is; anyone with the user's key can open it."""
        image = self._need(volume.id)
        if "rbd" not in connector.protocols:
            raise errors.AgentError(reason=f"The host {connector.host} cannot reach volumes in Ceph.")
        if volume.multiattach and _LOCK in image.features and not volume.attached:
            self._cluster.stop_lock(image.name)
        data = {"pool": self._cluster.pool, "image": image.name, "monitors": self._cluster.monitors(),
                "user": self._cluster.user}
        key = self._cluster.key()
        self._cluster.set_mark(f"{_CONNECTION}{attachment_id} {volume.id}")
        return ConnectionSpec(protocol="rbd", data=data | ({"key": key} if key else {}))

    def disconnect(self, volume_id: str, attachment_id: str) -> None:
        """Forget the connection."""
        self._cluster.drop_mark(f"{_CONNECTION}{attachment_id} {volume_id}")

    def shut_out(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec) -> None:
        """Blocklist the host's clients that have the image open, then forget the connection.

        Of a volume that one server has, every client is that host's; else those that come from the host's address.
        """
        self._cluster.shut_out(_VOLUME + volume.id, connector.ip if volume.multiattach else None)
        self.disconnect(volume.id, attachment_id)

    def _need(self, volume_id: str, snapshot_id: str | None = None) -> Image:
        """Return the image, or its snapshot; raises AgentError when it is not there."""
        snapshot = None if snapshot_id is None else _SNAPSHOT + snapshot_id
        found = self._cluster.find_image(_VOLUME + volume_id, snapshot)
        if found is None:
            what = f"Volume {volume_id}" if snapshot_id is None else f"Snapshot {snapshot_id}"
            raise errors.AgentError(reason=f"{what} is not on the back end.")
        return found

    def _connections(self) -> Iterator[tuple[str, str]]:
        for mark in self._cluster.marks():
            if mark.startswith(_CONNECTION):
                attachment_id, _, volume_id = mark.removeprefix(_CONNECTION).partition(" ")
                yield attachment_id, volume_id

    @contextlib.contextmanager
    def _making(self, volume: VolumeSpec) -> Iterator[str | None]:
        """Hand out the name of an image to make; it gets the volume's name when the body ends well.

        None when the volume is whole already.
        """
        name, part = _VOLUME + volume.id, _PART + volume.id
        if self._cluster.find_image(name) is not None:
            yield None
            return
        self._drop_part(volume.id)
        yield part
        self._cluster.rename(part, name)

    def _clone(self, origin: Image, snapshot: str, part: str, volume: VolumeSpec, progress: Progress) -> None:
        self._cluster.clone(origin.name, snapshot, part, shared=volume.multiattach)
        if origin.size_bytes < volume.size_gib * GIB:
            self._cluster.resize(part, volume.size_gib)
        if self._depth(origin) >= self._max_depth:
            self._cluster.flatten(part, progress)

    def _depth(self, image: Image | None) -> int:
        """Return how many images an image stands on, counting no further than matters."""
        depth = 0
        while image is not None and image.parent is not None and depth < self._max_depth:
            depth += 1
            image = self._cluster.find_image_by_id(image.parent["id"])
        return depth

    def _fill(self, name: str, source: DiskSource, progress: Progress) -> None:
        target = qemu_img.json_name(self._cluster.blockdev(name))
        qemu_img.convert(source, target, "raw", progress, create=False, target_is_zero=True)

    def _drop_part(self, volume_id: str) -> None:
        """Remove what a broken try left.

        A process that still copies into it, here or on another node, belongs to an attempt that is over.
        """
        name = _PART + volume_id
        self._cluster.shut_out(name)
        if self._cluster.remove(name):
            self._cluster.trash(name)

    def _drop_moments(self, volume_id: str) -> None:
        """Remove the snapshot that a clone's broken try left on the volume it was to be made from."""
        moment = _MOMENT + volume_id
        for name, snapshots in self._cluster.list_images().items():
            if moment in snapshots:
                self._cluster.remove_snapshot(name, moment)

    def _remove(self, volume_id: str, name: str) -> None:
        end = time.monotonic() + _BUSY_S
        while (status := self._cluster.remove(name)) == errno.EBUSY:
            if time.monotonic() > end:
                raise errors.AgentError(reason=f"Volume {volume_id} is still open on some host.")
            time.sleep(_LOOK_S)
        if status:
            self._cluster.trash(name)

    def _free_parents(self, image: Image) -> None:
        """Remove from the trash what a removed image was perhaps the last to need."""
        parent = image.parent
        while parent is not None and parent.get("trash"):
            above = self._cluster.find_image_by_id(parent["id"])
            if above is None or not self._cluster.remove_trash(above.id):
                return
            parent = above.parent
