"""Real parts for integration tests: a libvirtd of the tests' own, and the tiny image; each says why it cannot be had.

Both end with what they need: `libvirtd` stops its guests, the image is kept for the next run under the directory that
HOSTLER_TEST_CACHE names (default: below the user's cache directory).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.images.tiny import build as tiny_build
from hostler.images.tiny.commands import BuildFailed
from hostler.resources.server.specs import ImageSpec

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "private-libvirtd"
START_TIMEOUT_S = 60


def require_libvirt() -> None:
    """Skip the test, with the reason, where no libvirtd can run."""
    if os.geteuid() != 0:
        pytest.skip("a private libvirtd needs root")
    for program in ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "unshare"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"the program {program} is missing")


@contextlib.contextmanager
def libvirtd(directory: Path) -> Iterator[str]:
    """Run a private libvirtd below `directory` and yield its URI; skips with libvirtd's words when it cannot start."""
    require_libvirt()
    started = subprocess.run(["bash", str(SCRIPT), "start", str(directory)], capture_output=True, text=True,
                             timeout=START_TIMEOUT_S, check=False)
    if started.returncode:
        pytest.skip(f"no libvirtd can be started here: {started.stderr.strip()[-500:]}")
    try:
        yield f"qemu+unix:///system?socket={directory}/run/libvirt-sock"
    finally:
        subprocess.run(["bash", str(SCRIPT), "stop", str(directory)], check=False, timeout=START_TIMEOUT_S)


@functools.cache
def tiny_image() -> ImageSpec:
    """Return the tiny image, built when it is not there; skips with the reason when it cannot be built."""
    cache = Path(os.environ.get("HOSTLER_TEST_CACHE") or Path.home() / ".cache" / "hostler-tests")
    try:
        path = _build_once(cache)
    except (BuildFailed, OSError) as error:
        pytest.skip(f"the tiny image cannot be built here: {error}")
    info = subprocess.run(["qemu-img", "info", "-U", "--output", "json", str(path)], capture_output=True, text=True,
                          check=True)
    virtual_size = int(info.stdout.split('"virtual-size":')[1].split(",")[0])
    return ImageSpec(id="11111111-0000-4000-8000-000000000001",
                     sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size_bytes=path.stat().st_size,
                     virtual_size_bytes=virtual_size, disk_format="qcow2", path=str(path))


def _build_once(cache: Path) -> Path:
    """Build it while no other process of these tests does."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return tiny_build.build(cache / "tiny.qcow2", cache / "work")
