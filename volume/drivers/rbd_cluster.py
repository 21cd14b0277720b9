"""One pool of a Ceph cluster, by the commands `rbd`, `ceph` and `rados`: images, snapshots, trash, marks.

Knows what Ceph answers when a thing is there already or not there at all, and nothing of volumes. Each command ends
by itself when the cluster does not answer. This holds for Ceph 16 (Pacific) and later.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from hostler import errors
from hostler.agent import programs
from hostler.agent.programs import Progress

LOG = logging.getLogger(__name__)
_MARKS = "hostler.marks"  # the object that holds the pool's marks

# A wrong user or key looks like a cluster that is silent: the monitor does not answer strangers.
_SILENT = ("timed out", "failed to fetch mon config")

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended. `status` is an errno for rbd, and 110 for all when they did not end in time."""

    status: int
    out: str = ""
    said: str = ""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image, or a snapshot of it. `parent` is {"pool", "image", "id", "snapshot", "trash"}, or None."""

    id: str
    name: str
    size_bytes: int
    features: tuple[str, ...]
    parent: Json | None


Run = Callable[[Sequence[str], float | None], Done]
Watch = Callable[[Sequence[str], Progress], None]


def run(command: Sequence[str], timeout_s: float | None) -> Done:
    """Run a command; raises AgentError when the program is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
                              check=False)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the node "
                                       "(package ceph-common).") from error
    except subprocess.TimeoutExpired:
        return Done(errno.ETIMEDOUT, "", f"no end in {timeout_s} s")
    return Done(done.returncode, done.stdout, done.stderr)


class Cluster:
    """One pool, as one user. `timeout_s` is how long the cluster may be silent."""

    def __init__(self, pool: str, user: str, conf: str, timeout_s: int, *, run: Run = run,
                 watch: Watch = programs.run_watched) -> None:
        self.pool = pool
        self.user = user
        self.conf = conf
        self._timeout_s = timeout_s
        self._run = run
        self._watch = watch

    # --- images ---

    def find_image(self, name: str, snapshot: str | None = None) -> Image | None:
        """Return an image, or one of its snapshots, or None."""
        return self._info([self._spec(name, snapshot)])

    def find_image_by_id(self, image_id: str) -> Image | None:
        """Return an image, which may be in the trash, or None."""
        return self._info(["--pool", self.pool, "--image-id", image_id])

    def list_images(self) -> dict[str, tuple[str, ...]]:
        """Return the names of all images, each with its snapshots' names."""
        found: dict[str, list[str]] = {}
        for entry in json.loads(self._rbd("ls", "--long", "--format", "json", self.pool, patient=True).out):
            snapshots = found.setdefault(entry["image"], [])
            if "snapshot" in entry:
                snapshots.append(entry["snapshot"])
        return {name: tuple(snapshots) for name, snapshots in found.items()}

    def create_image(self, name: str, size_gib: int, *, shared: bool) -> None:
        """Make an empty image. `shared` ones have no lock that goes from client to client: many write at a time."""
        self._rbd("create", "--size", f"{size_gib}G", *_kind(shared), self._spec(name))

    def clone(self, name: str, snapshot: str, new_name: str, *, shared: bool) -> None:
        """Make an image that shares a snapshot's data.

        Clones of version 2 let the snapshot be removed at any time: it goes from sight, and for good with the last
        clone. Version 1, still Ceph's default in old clusters, wants snapshots protected.
        """
        self._rbd("clone", "--rbd-default-clone-format", "2", *_kind(shared), self._spec(name, snapshot),
                  self._spec(new_name))

    def rename(self, name: str, new_name: str) -> None:
        """Rename an image."""
        self._rbd("rename", self._spec(name), self._spec(new_name))

    def resize(self, name: str, size_gib: int, *, shrink: bool = False) -> None:
        """Change the size of an image that has another one; what is cut off is gone."""
        self._rbd("resize", "--no-progress", "--size", f"{size_gib}G", *(["--allow-shrink"] if shrink else []),
                  self._spec(name), patient=True)

    def remove(self, name: str) -> int:
        """Remove an image; returns 0 also when there is none, EBUSY when somebody has it open, ENOTEMPTY when
        snapshots (perhaps out of sight) are left."""
        done = self._rbd("rm", "--no-progress", self._spec(name), patient=True,
                         fine=(errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY))
        return 0 if done.status == errno.ENOENT else done.status

    def shut_out(self, name: str, address: str | None = None) -> None:
        """Let no client that has an image open (from `address`, if given) write to it, or to anything in the cluster,
        any more; fine when there is no image.

        A client that is evicted this way need not be waited for; a client that merely died holds an image for
        30 s. It may come back as a new client.
        """
        done = self._rbd("status", "--format", "json", self._spec(name), fine=(errno.ENOENT,))
        for watcher in json.loads(done.out)["watchers"] if not done.status else ():
            if address is None or watcher["address"].rpartition(":")[0].strip("[]") == address:
                self._ceph("osd", "blocklist", "add", watcher["address"])

    def stop_lock(self, name: str) -> None:
        """Let many clients write to an image at a time; nobody may have it open."""
        self._rbd("feature", "disable", self._spec(name), "object-map", "fast-diff", "exclusive-lock")

    def flatten(self, name: str, progress: Progress) -> None:
        """Copy what a clone shares."""
        self._watch([*self._rbd_command("flatten"), self._spec(name)], progress)

    # --- snapshots ---

    def create_snapshot(self, name: str, snapshot: str) -> None:
        """Make a snapshot, or leave the one that is there."""
        self._rbd("snap", "create", "--no-progress", self._spec(name, snapshot), fine=(errno.EEXIST,))

    def remove_snapshot(self, name: str, snapshot: str) -> None:
        """Remove a snapshot; fine when it, or the image, is not there."""
        self._rbd("snap", "rm", "--no-progress", self._spec(name, snapshot), patient=True, fine=(errno.ENOENT,))

    def list_snapshots(self, name: str) -> tuple[str, ...]:
        """Return the names of an image's snapshots, none when there is no image."""
        done = self._rbd("snap", "ls", "--format", "json", self._spec(name), fine=(errno.ENOENT,))
        return () if done.status else tuple(entry["name"] for entry in json.loads(done.out))

    def roll_back(self, name: str, snapshot: str, progress: Progress) -> None:
        """Give the image the snapshot's content and size."""
        self._watch([*self._rbd_command("snap", "rollback"), self._spec(name, snapshot)], progress)

    # --- trash: images that clones still need, or that a client which died seems to have open ---

    def trash(self, name: str) -> None:
        """Put an image out of sight; fine when there is none."""
        self._rbd("trash", "mv", self._spec(name), fine=(errno.ENOENT,))

    def list_trash(self) -> dict[str, str]:
        """Return the id of each image in the trash with its former name."""
        listed = json.loads(self._rbd("trash", "ls", "--format", "json", self.pool).out)
        return {entry["id"]: entry["name"] for entry in listed}

    def remove_trash(self, image_id: str) -> bool:
        """Return whether an image went from the trash for good; not while clones need it or somebody has it open."""
        done = self._rbd("trash", "rm", "--no-progress", "--pool", self.pool, image_id, patient=True,
                         fine=(errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY))
        return not done.status

    # --- marks: words kept in the pool ---

    def marks(self) -> list[str]:
        """Return all marks."""
        return self._rados("listomapkeys").splitlines()

    def set_mark(self, word: str) -> None:
        """Keep a word."""
        self._rados("setomapval", word, "-")

    def drop_mark(self, word: str) -> None:
        """Forget a word; fine when there is none."""
        self._rados("rmomapkey", word)

    # --- the cluster ---

    def usage(self) -> tuple[int, int]:
        """Return the bytes stored in the pool and the bytes that still fit, copies not counted."""
        for pool in json.loads(self._ceph("df"))["pools"]:
            if pool["name"] == self.pool:
                return int(pool["stats"]["stored"]), int(pool["stats"]["max_avail"])
        raise errors.AgentError(reason=f"The Ceph cluster has no pool '{self.pool}'.")

    def monitors(self) -> list[str]:
        """Return the monitors' addresses, host:port."""
        found = []
        for monitor in json.loads(self._ceph("mon", "dump"))["mons"]:
            addresses = monitor["public_addrs"]["addrvec"]
            newest = next((entry for entry in addresses if entry["type"] == "v2"), addresses[0])
            found.append(str(newest["addr"]))
        return found

    def key(self) -> str | None:
        """Return the user's secret, base64, from the keyring that the configuration names; None without cephx."""
        client = f"client.{self.user}"
        asked = self._run(["ceph-conf", "-c", self.conf, "--name", client, "--show-config-value", "keyring"],
                          self._timeout_s)
        for path in asked.out.strip().split(",") if not asked.status else ():
            done = self._run(["ceph-authtool", path, "--name", client, "--print-key"], self._timeout_s)
            if not done.status and done.out.strip():
                return done.out.strip()
        return None

    def blockdev(self, name: str, snapshot: str | None = None) -> Json:
        """Return what QEMU's tools on this node open an image by."""
        inner = {"driver": "rbd", "pool": self.pool, "image": name, "user": self.user, "conf": self.conf}
        return {"driver": "raw", "file": inner | ({"snapshot": snapshot} if snapshot else {})}

    def _info(self, which: list[str]) -> Image | None:
        done = self._rbd("info", "--format", "json", *which, fine=(errno.ENOENT,))
        if done.status:
            return None
        found = json.loads(done.out)
        return Image(found["id"], found["name"], found["size"], tuple(found["features"]), found.get("parent"))

    def _spec(self, name: str, snapshot: str | None = None) -> str:
        return f"{self.pool}/{name}" + (f"@{snapshot}" if snapshot else "")

    def _rbd_command(self, *verb: str) -> list[str]:
        silent = str(self._timeout_s)
        return ["rbd", "--conf", self.conf, "--id", self.user, "--client-mount-timeout", silent,
                "--rados-mon-op-timeout", silent, "--rados-osd-op-timeout", silent, *verb]

    def _rbd(self, *words: str, fine: tuple[int, ...] = (), patient: bool = False) -> Done:
        """`patient` for what may take long while the cluster answers; silence ends it all the same."""
        return self._command(self._rbd_command(*words), fine, None if patient else 4.0 * self._timeout_s)

    def _rados(self, verb: str, *words: str) -> str:
        command = ["rados", *self._rbd_command()[1:], "--pool", self.pool, verb, _MARKS, *words]
        done = self._run(command, 4.0 * self._timeout_s)
        # Whatever goes wrong, rados ends with 1; an object nobody wrote to has no keys.
        if done.status and not ("omap key" in done.said and "(2)" in done.said):
            raise self._failure(command, done)
        return done.out

    def _ceph(self, *words: str) -> str:
        command = ["ceph", "--conf", self.conf, "--id", self.user, "--connect-timeout", str(self._timeout_s),
                   "--format", "json", *words]
        return self._command(command, (), 4.0 * self._timeout_s).out

    def _command(self, command: list[str], fine: tuple[int, ...], timeout_s: float | None) -> Done:
        done = self._run(command, timeout_s)
        if done.status and done.status not in fine:
            raise self._failure(command, done)
        return done

    def _failure(self, command: Sequence[str], done: Done) -> errors.AgentError:
        LOG.error("%s failed with %d: %s", " ".join(command), done.status, done.said.strip())
        if done.status == errno.ETIMEDOUT or any(word in done.said for word in _SILENT):
            return errors.AgentError(reason="The Ceph cluster does not answer, or refuses the node's user.")
        if done.status in (errno.ENOSPC, errno.EDQUOT):
            return errors.AgentError(reason="The storage has no space left.")
        return errors.AgentError(reason=f"The program {command[0]} failed on the storage node.")


def _kind(shared: bool) -> list[str]:
    return ["--image-shared"] if shared else []
