"""A Ceph pool in memory behind its commands, as far as the driver uses them, with the answers of Ceph 16.

It can die at any command: `die_at` counts commands and is raised either before or after the command took effect.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
from collections.abc import Sequence
from typing import Any

from hostler.agent.programs import Progress
from volume.drivers.driver import DiskSource
from volume.drivers.rbd_cluster import Done

MON = {"mons": [{"public_addrs": {"addrvec": [{"type": "v1", "addr": "10.0.0.1:6789"},
                                              {"type": "v2", "addr": "10.0.0.1:3300"}]}},
                {"public_addrs": {"addrvec": [{"type": "v1", "addr": "[fd00::2]:6789"}]}}]}
GIB = 1 << 30


class Killed(BaseException):
    """The agent died."""


@dataclasses.dataclass
class StubImage:
    """An image; `hidden` are removed snapshots that clones still need."""

    id: str
    size: int
    content: str = ""
    shared: bool = False
    parent: tuple[str, str] | None = None  # image id, snapshot
    snapshots: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)
    hidden: set[str] = dataclasses.field(default_factory=set)
    watchers: list[str] = dataclasses.field(default_factory=list)


class StubCeph:
    """The pool `volumes`. `commands` are the verbs seen."""

    def __init__(self) -> None:
        self.images: dict[str, StubImage] = {}
        self.trash: dict[str, tuple[str, StubImage]] = {}
        self.marks: set[str] = set()
        self.shut_out: list[str] = []
        self.commands: list[list[str]] = []
        self.die_at: tuple[int, bool] | None = None  # number, whether after its effect
        self.status = 0  # what every command ends with, if not 0
        self._ids = itertools.count(1)

    def run(self, command: Sequence[str], timeout_s: float | None) -> Done:
        """Run a command."""
        number = len(self.commands)
        self.commands.append(list(command))
        if self.die_at == (number, False):
            raise Killed
        if self.status:
            return Done(self.status, "", "said")
        done = self._do(list(command))
        if self.die_at == (number, True):
            raise Killed
        return done

    def watch(self, command: Sequence[str], progress: Progress) -> None:
        """Run a command that reports its progress."""
        progress(50)
        assert self.run(command, None).status == 0

    def convert(self, source: DiskSource, target: str, target_format: str, progress: Progress, **_rest: Any) -> None:
        """Replaces qemu-img."""
        name = json.loads(target.removeprefix("json:"))["file"]["image"]
        self.run(["qemu-img", name, source.options["word"]], None)

    def image(self, image_id: str) -> StubImage:
        """Return an image, wherever it is."""
        return next(image for image in (*self.images.values(), *(image for _, image in self.trash.values()))
                    if image.id == image_id)

    def _do(self, command: list[str]) -> Done:
        program = command.pop(0)
        if program == "qemu-img":
            self.images[command[0]].content = command[1]
            return Done(0)
        if program == "ceph-conf":
            return Done(0, "/etc/ceph/missing,/etc/ceph/keyring\n")
        if program == "ceph-authtool":
            return Done(0, "c2VjcmV0\n") if command[0] == "/etc/ceph/keyring" else Done(1)
        words = _plain(command)
        if program == "ceph":
            return self._ceph(words)
        return self._rados(words) if program == "rados" else self._rbd(words, command)

    def _ceph(self, words: list[str]) -> Done:
        if words[:2] == ["mon", "dump"]:
            return Done(0, json.dumps(MON))
        if words[:3] == ["osd", "blocklist", "add"]:
            self.shut_out.append(words[3])
            for image in self.images.values():
                image.watchers = [watcher for watcher in image.watchers if watcher != words[3]]
            return Done(0)
        return Done(0, json.dumps({"pools": [{"name": "volumes", "stats": {"stored": GIB, "max_avail": 9 * GIB}}]}))

    def _rados(self, words: list[str]) -> Done:
        if words[0] == "listomapkeys":
            return Done(0, "".join(f"{mark}\n" for mark in sorted(self.marks)))
        if words[0] == "setomapval":
            self.marks.add(words[2])
        else:
            self.marks.discard(words[2])
        return Done(0)

    def _rbd(self, words: list[str], command: list[str]) -> Done:
        verb = "_".join(words[:2]) if words[0] in ("snap", "trash", "feature") else words[0]
        where = words[2:] if "_" in verb else words[1:]
        names = [word.removeprefix("volumes/") for word in where]
        if verb in ("create", "clone") and names[-1] in self.images:
            return Done(errno.EEXIST)
        found: Done = getattr(self, f"_{verb}")(names, command)
        return found

    def _create(self, names: list[str], command: list[str]) -> Done:
        size = int(_value(command, "--size")[:-1]) * GIB
        self.images[names[0]] = StubImage(f"id{next(self._ids)}", size, shared="--image-shared" in command)
        return Done(0)

    def _clone(self, names: list[str], command: list[str]) -> Done:
        name, _, snapshot = names[0].partition("@")
        size, content = self.images[name].snapshots[snapshot]
        self.images[names[1]] = StubImage(f"id{next(self._ids)}", size, content, "--image-shared" in command,
                                          (self.images[name].id, snapshot))
        return Done(0)

    def _info(self, names: list[str], command: list[str]) -> Done:
        if "--image-id" in command:
            image = self.image(_value(command, "--image-id"))
            return Done(0, self._describe("?", image, image.size))
        name, _, snapshot = names[0].partition("@")
        found = self.images.get(name)
        if found is None or (snapshot and snapshot not in found.snapshots):
            return Done(errno.ENOENT)
        return Done(0, self._describe(name, found, found.snapshots[snapshot][0] if snapshot else found.size))

    def _describe(self, name: str, image: StubImage, size: int) -> str:
        shown: dict[str, Any] = {"id": image.id, "name": name, "size": size,
                                 "features": ["layering"] if image.shared else ["layering", "exclusive-lock"]}
        if image.parent:
            parent_id, snapshot = image.parent
            names = [name for name, other in self.images.items() if other.id == parent_id]
            trashed = [former for former, other in self.trash.values() if other.id == parent_id]
            shown["parent"] = {"id": parent_id, "image": (names + trashed)[0], "trash": bool(trashed),
                               "snapshot": "hidden" if snapshot in self.image(parent_id).hidden else snapshot}
        return json.dumps(shown)

    def _resize(self, names: list[str], command: list[str]) -> Done:
        image, size = self.images[names[0]], int(_value(command, "--size")[:-1]) * GIB
        if size == image.size or (size < image.size and "--allow-shrink" not in command):
            return Done(errno.EINVAL)
        image.size, image.content = size, image.content if size else ""
        return Done(0)

    def _rename(self, names: list[str], command: list[str]) -> Done:
        self.images[names[1]] = self.images.pop(names[0])
        return Done(0)

    def _status(self, names: list[str], command: list[str]) -> Done:
        if names[0] not in self.images:
            return Done(errno.ENOENT)
        watchers = self.images[names[0]].watchers
        return Done(0, json.dumps({"watchers": [{"address": watcher} for watcher in watchers]}))

    def _rm(self, names: list[str], command: list[str]) -> Done:
        image = self.images.get(names[0])
        if image is None:
            return Done(errno.ENOENT)
        if image.watchers or image.snapshots or image.hidden:
            return Done(errno.EBUSY if image.watchers else errno.ENOTEMPTY)
        del self.images[names[0]]
        self._forget_child(image)
        return Done(0)

    def _flatten(self, names: list[str], command: list[str]) -> Done:
        image = self.images[names[0]]
        self._forget_child(image)
        image.parent = None
        return Done(0)

    def _forget_child(self, child: StubImage) -> None:
        if child.parent is not None:
            self.image(child.parent[0]).hidden.discard(child.parent[1])

    def _ls(self, names: list[str], command: list[str]) -> Done:
        listed = []
        for name, image in self.images.items():
            listed += [{"image": name}, *({"image": name, "snapshot": snapshot} for snapshot in image.snapshots)]
        return Done(0, json.dumps(listed))

    def _feature_disable(self, names: list[str], command: list[str]) -> Done:
        self.images[names[0]].shared = True
        return Done(0)

    def _snap_create(self, names: list[str], command: list[str]) -> Done:
        name, _, snapshot = names[0].partition("@")
        image = self.images[name]
        if snapshot in image.snapshots:
            return Done(errno.EEXIST)
        image.snapshots[snapshot] = (image.size, image.content)
        return Done(0)

    def _snap_rm(self, names: list[str], command: list[str]) -> Done:
        name, _, snapshot = names[0].partition("@")
        image = self.images.get(name)
        if image is None or image.snapshots.pop(snapshot, None) is None:
            return Done(errno.ENOENT)
        if any(child.parent == (image.id, snapshot) for child in self.images.values()):
            image.hidden.add(snapshot)
        return Done(0)

    def _snap_ls(self, names: list[str], command: list[str]) -> Done:
        image = self.images.get(names[0])
        return Done(0, json.dumps([{"name": name} for name in image.snapshots])) if image else Done(errno.ENOENT)

    def _snap_rollback(self, names: list[str], command: list[str]) -> Done:
        name, _, snapshot = names[0].partition("@")
        image = self.images[name]
        image.size, image.content = image.snapshots[snapshot]
        return Done(0)

    def _trash_mv(self, names: list[str], command: list[str]) -> Done:
        image = self.images.pop(names[0], None)
        if image is None:
            return Done(errno.ENOENT)
        self.trash[image.id] = (names[0], image)
        return Done(0)

    def _trash_ls(self, names: list[str], command: list[str]) -> Done:
        return Done(0, json.dumps([{"id": key, "name": name} for key, (name, _) in self.trash.items()]))

    def _trash_rm(self, names: list[str], command: list[str]) -> Done:
        _, image = self.trash.get(names[0], ("", None))
        if image is None or image.watchers or image.hidden:
            return Done(errno.ENOENT if image is None else errno.EBUSY if image.watchers else errno.ENOTEMPTY)
        self._forget_child(image)
        del self.trash[names[0]]
        return Done(0)


_WITH_VALUE = ("--conf", "--id", "--client-mount-timeout", "--rados-mon-op-timeout", "--rados-osd-op-timeout", "--size",
               "--connect-timeout", "--format", "--pool", "--rbd-default-clone-format", "--image-id")


def _plain(command: list[str]) -> list[str]:
    """Return the words that are neither switches nor their values."""
    before = ["", *command]
    return [word for last, word in zip(before, command, strict=False)
            if not word.startswith("--") and last not in _WITH_VALUE]


def _value(command: list[str], switch: str) -> str:
    return command[command.index(switch) + 1]
