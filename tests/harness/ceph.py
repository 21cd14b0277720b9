"""A Ceph cluster of the test's own: one monitor, one manager, one OSD on a file, from the distribution's packages.

Everything it writes lies below the caller's directory: nothing in /etc/ceph, /var/lib/ceph, /var/log/ceph or /run.
Clients reach it over TCP at `address`, with cephx, as the restricted user `client.hostler`, who may use the images
of one pool and nothing else. Its processes end with the test's, so that nothing outlives a failed run.

    ceph = Ceph(tmp_path / "ceph")
    ceph.start()
    ceph.rbd("create", "--size", "64", "volumes/disk")    # as client.hostler
    ceph.admin("osd", "df")                               # as client.admin
    ceph.stop()
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any

from tests.harness.ports import free_port, is_open, wait_for

_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mgr", "ceph-mon", "ceph-osd", "monmaptool", "rbd", "setpriv")
_GIB = 1 << 30


def missing() -> str | None:
    """Return why no Ceph can be had here, or None."""
    if os.geteuid() != 0:
        return "Ceph's daemons need root"
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"programs not installed: {', '.join(lacking)}" if lacking else None


def missing_in_qemu() -> str | None:
    """Return why QEMU cannot open RBD images here, or None."""
    if shutil.which("qemu-img") is None:
        return "qemu-img is not installed"
    formats = subprocess.run(["qemu-img", "--help"], capture_output=True, text=True, check=True).stdout
    return None if "rbd" in formats.rpartition("Supported formats:")[2].split() else "qemu-block-extra is not installed"


class Ceph:
    """A one-node cluster with one pool, which keeps one copy of its data in a sparse file of `size_gib`.

    `store` is Ceph's object store: bluestore needs a file system with direct I/O; memstore keeps all data in memory
    and loses it with `stop`.
    """

    def __init__(self, directory: Path, address: str = "127.0.0.1", *, pool: str = "volumes", user: str = "hostler",
                 size_gib: int = 20, store: str = "bluestore") -> None:
        self.directory = directory
        self.address = address
        self.pool = pool
        self.user = user
        self.port = free_port()
        self._legacy_port = free_port()
        self._size_gib = size_gib
        self._store = store
        self._fsid = str(uuid.uuid4())
        self._osd_uuid = str(uuid.uuid4())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def fsid(self) -> str:
        """The cluster's id."""
        return self._fsid

    @property
    def mon_host(self) -> str:
        """The monitor as clients write it: address:port."""
        return f"{self.address}:{self.port}"

    @property
    def client(self) -> str:
        """The restricted user's full name, as `--name` takes it."""
        return f"client.{self.user}"

    @property
    def keyring(self) -> Path:
        """The restricted user's keyring."""
        return self.directory / f"{self.client}.keyring"

    @property
    def key(self) -> str:
        """The restricted user's secret, in base64."""
        return _run("ceph-authtool", str(self.keyring), "-n", self.client, "--print-key").strip()

    @property
    def conf(self) -> Path:
        """A configuration that is enough for the restricted user: where the monitor and the key are."""
        return self.directory / "client.conf"

    def start(self) -> None:
        """Start, and wait until the pool takes images and its free space is known.

        After `stop` the same cluster comes back, with its data.
        """
        if (self.directory / "ceph.conf").exists():
            for name, program in (("mon.a", "ceph-mon"), ("mgr.x", "ceph-mgr"), ("osd.0", "ceph-osd")):
                self._spawn(name, program)
            wait_for(lambda: is_open(self.port, self.address), f"Ceph's monitor (see {self.directory})")
        else:
            self._create()
        wait_for(self._has_space, f"Ceph's OSD (see {self.directory})", timeout_s=120, every_s=0.2)
        self.rbd("ls", self.pool)  # waits until the OSD serves the pool

    def admin(self, *arguments: str) -> str:
        """Run a `ceph` command as administrator; returns its output."""
        return self._ceph(self._admin_conf, "client.admin", *arguments)

    def rbd(self, *arguments: str) -> str:
        """Run an `rbd` command as the restricted user; returns its output."""
        return _run("rbd", "--conf", str(self.conf), "--name", self.client, *arguments)

    def pids(self) -> list[int]:
        """Return its processes."""
        return [process.pid for process in self._processes.values()]

    def freeze(self) -> None:
        """Stop answering, like a cluster behind a dead switch."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop at once, as a power cut does; data stays, so `start` brings the same cluster back."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(timeout=30)
        self._processes.clear()

    @property
    def _admin_conf(self) -> Path:
        return self.directory / "ceph.conf"

    def _create(self) -> None:
        for name in ("mon", "mgr", "osd", "crash"):
            (self.directory / name).mkdir(parents=True)
        self._write_configuration()
        self._make_keys()
        endpoints = f"[v2:{self.mon_host},v1:{self.address}:{self._legacy_port}]"
        monmap = str(self.directory / "monmap")
        _run("monmaptool", "--create", "--addv", "a", endpoints, "--fsid", self._fsid, monmap)
        _run("ceph-mon", "-c", str(self._admin_conf), "-i", "a", "--mkfs", "--monmap", monmap,
             "--keyring", str(self.directory / "initial.keyring"))
        self._spawn("mon.a", "ceph-mon")
        wait_for(lambda: self._is_up("mon.a") and is_open(self.port, self.address), "Ceph's monitor")
        self._spawn("mgr.x", "ceph-mgr")
        self.admin("osd", "new", self._osd_uuid, "0", "-i", str(self.directory / "osd.json"))
        _run("ceph-osd", "-c", str(self._admin_conf), "-i", "0", "--mkfs", "--osd-uuid", self._osd_uuid)
        self._spawn("osd.0", "ceph-osd")
        self.admin("osd", "pool", "create", self.pool)
        _run("rbd", "-c", str(self._admin_conf), "pool", "init", self.pool, timeout_s=120)

    def _write_configuration(self) -> None:
        here = self.directory
        self._admin_conf.write_text(f"""\
[global]
fsid = {self._fsid}
mon_host = [v2:{self.mon_host},v1:{self.address}:{self._legacy_port}]
public_addr = {self.address}
cluster_addr = {self.address}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {here}/$name.keyring
run_dir = {here}
crash_dir = {here}/crash
admin_socket =
pid_file =
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
[mon]
log_file = {here}/$name.log
mon_data = {here}/mon
mon_cluster_log_to_file = false
mon_data_avail_warn = 1
mon_data_avail_crit = 1
paxos_propose_interval = 0.1
mon_allow_pool_delete = true
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
auth_allow_insecure_global_id_reclaim = false
[mgr]
log_file = {here}/$name.log
mgr_data = {here}/mgr
mgr_initial_modules =
mgr_stats_period = 1
[osd]
osd_client_watch_timeout = 15
log_file = {here}/$name.log
osd_data = {here}/osd
osd_objectstore = {self._store}
bluestore_block_size = {self._size_gib * _GIB}
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
memstore_device_bytes = {self._size_gib * _GIB}
""")
        self.conf.write_text(f"[global]\nmon_host = {self.mon_host}\nkeyring = {self.keyring}\n")

    def _make_keys(self) -> None:
        # The monitor takes them all at its birth, which saves a command for each.
        may_all = ("--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        rights = {
            "client.admin": ("--cap", "mon", "allow *", *may_all),
            self.client: ("--cap", "mon", "profile rbd", "--cap", "osd", f"profile rbd pool={self.pool}",
                          "--cap", "mgr", f"profile rbd pool={self.pool}"),
            "mgr.x": ("--cap", "mon", "allow profile mgr", *may_all),
        }
        initial = str(self.directory / "initial.keyring")
        _run("ceph-authtool", "-C", initial, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name, caps in rights.items():
            own = str(self.directory / f"{name}.keyring")
            _run("ceph-authtool", "-C", own, "--gen-key", "-n", name, *caps)
            _run("ceph-authtool", initial, "--import-keyring", own)
        osd_key = _run("ceph-authtool", "--gen-print-key").strip()
        _run("ceph-authtool", "-C", str(self.directory / "osd.0.keyring"), "-n", "osd.0", "--add-key", osd_key)
        (self.directory / "osd.json").write_text(json.dumps({"cephx_secret": osd_key}))

    def _spawn(self, name: str, program: str) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", program, "-c", str(self._admin_conf), "-f",
                   "-i", name.partition(".")[2]]
        with (self.directory / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT,
                                                     stdin=subprocess.DEVNULL, start_new_session=True)

    def _is_up(self, name: str) -> bool:
        if self._processes[name].poll() is not None:
            raise RuntimeError(f"{name} ended: {(self.directory / f'{name}.out').read_text()[-2000:]}")
        return True

    def _has_space(self) -> bool:
        if not all(self._is_up(name) for name in self._processes):
            return False
        usage: dict[str, Any] = json.loads(self._ceph(self.conf, self.client, "df", "-f", "json"))
        found = [pool["stats"]["max_avail"] for pool in usage["pools"] if pool["name"] == self.pool]
        return bool(usage["stats"]["total_bytes"] and found and found[0])

    def _ceph(self, conf: Path, name: str, *arguments: str) -> str:
        return _run("ceph", "-c", str(conf), "--name", name, "--connect-timeout", "30", *arguments)


def _run(*command: str, timeout_s: float = 60) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_s,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
