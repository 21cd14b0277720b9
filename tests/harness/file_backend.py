"""A file back end in a directory of the test's own; what it exports ends with the test."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import clock, conf, ids, pki
from hostler.agent.faults import Faults
from hostler.conf import volume as volume_conf
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume.drivers import file
from volume.drivers.file import nbd
from volume.drivers.file.driver import FileDriver
from volume.drivers.loading import BackendConfig
from volume.layout import Layout

MakeDriver = Callable[..., FileDriver]
# A range for each process that runs tests: a port that one just gave up is not taken by another.
PORTS = 20000 + os.getpid() % 300 * 40


@pytest.fixture(autouse=True)
def need_qemu() -> None:
    for program in ("qemu-img", "qemu-nbd", "qemu-io"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    exports = tmp_path / "state/volume/exports"
    for attachment_id in nbd.find(exports):
        nbd.stop(exports / f"{attachment_id}.pid")


@pytest.fixture
def make_driver(state: Path) -> MakeDriver:
    """Make drivers as a (re)started node builds them; options are the back end's, `volume_…` the group's."""
    def make(name: str = "local", node: str = "node1", **options: Any) -> FileDriver:
        overrides = {f"volume.{key.removeprefix('volume_')}": value for key, value in options.items()
                     if key.startswith("volume_")}
        settings = conf.load([], config_files=[], overrides={"volume.export_ports": f"{PORTS}-{PORTS + 29}",
                                                             "volume.insecure_exports": True, **overrides})
        group = volume_conf.backend_group(name)
        settings.register_opts([*volume_conf.BACKEND_OPTS, *file.OPTS], group=group)
        for key, value in options.items():
            if not key.startswith("volume_"):
                settings.set_override(key, value, group)
        layout = Layout(state)
        layout.prepare()
        made = file.build(BackendConfig(name, node, settings, layout, Faults()))
        assert isinstance(made, FileDriver)
        return made

    return make


@pytest.fixture
def driver(make_driver: MakeDriver) -> FileDriver:
    made = make_driver()
    made.open()
    return made


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories node1, host1, host2 with certificates of one authority, `foreign` with host1's of another."""
    directory = tmp_path_factory.mktemp("pki")
    for authority, names in {"ca": ("node1", "host1", "host2"), "ca2": ("foreign",)}.items():
        pki.init_authority(directory / authority, clock.utcnow())
        for name in names:
            pki.issue(directory / authority, "host1" if name == "foreign" else name, ["127.0.0.1"], directory / name,
                      clock.utcnow())
    return directory


def a_volume(size_gib: int = 1, **fields: Any) -> VolumeSpec:
    """Return a new volume."""
    return VolumeSpec(id=ids.new_id(), backend="local", size_gib=size_gib, **fields)


def a_snapshot(volume: VolumeSpec) -> SnapshotSpec:
    """Return a new snapshot of a volume."""
    return SnapshotSpec(id=ids.new_id(), volume_id=volume.id, size_gib=volume.size_gib)


def a_host(name: str = "host1", **fields: Any) -> ConnectorSpec:
    """Return a host without any shared directory."""
    return ConnectorSpec(host=name, **fields)


def ignore(_percent: int) -> None:
    """Discards progress reports."""


def pids(exports: Path) -> dict[str, int]:
    """Return attachment → process of what runs."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            for word in entry.read_bytes().decode().split("\0"):
                if word.startswith(f"--pid-file={exports}/"):
                    found[Path(word).stem] = int(entry.parent.name)
    return found


def kill(pid: int) -> None:
    """kill -9, and wait for the end: a process can be seen for a moment after."""
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def reach(connection: ConnectionSpec, certificates: Path | None, *, name: str = "node1") -> str:
    """Return what QEMU's client says when it cannot reach the export; empty when it can."""
    data = connection.data
    options = f"driver=nbd,host={data['host']},port={data['port']},export={data['export']}"
    words = ["qemu-img", "info"]
    if certificates is not None:
        words += ["--object", f"tls-creds-x509,id=own,endpoint=client,dir={certificates}"]
        options += f",tls-creds=own,tls-hostname={name}"
    return subprocess.run([*words, "--image-opts", options], capture_output=True, text=True, check=False).stderr


def io(options: dict[str, object], *commands: str) -> None:
    """Run qemu-io on a blockdev; fails when a pattern is not there."""
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(["qemu-io", *words, f"json:{json.dumps(options)}"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout, done.stdout
