"""Builds the tiny image, or finds that the one that is there was made from the same inputs.

>>> build(Path("tiny.qcow2"), Path("work"))  # doctest: +SKIP
PosixPath('tiny.qcow2')
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from hostler.images.tiny import disk, kernel, rootfs
from hostler.images.tiny.commands import BuildFailed, find_tool, run

MAX_BYTES = 22 * 1000 * 1000
_SOURCES = ("build.py", "commands.py", "cpio.py", "disk.py", "kernel.py", "rootfs.py")


def build(output: Path, work_dir: Path) -> Path:
    """Make the image at `output` (qcow2) and return that path; a repetition with unchanged inputs does nothing.

    `work_dir` keeps the kernel package between builds. `output` is replaced whole, never rewritten in place, so
    running guests whose disks are based on the old file are not disturbed. Raises BuildFailed, with the package to
    install or the command that failed.
    """
    packages = kernel.find_packages()
    key = _inputs_key(packages)
    stamp = output.with_name(output.name + ".inputs")
    if output.exists() and stamp.exists() and stamp.read_text() == key:
        return output
    work_dir.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    source = kernel.unpack(packages, work_dir)
    archive = rootfs.build_archive(source)
    initrd = run(find_tool("zstd", "zstd"), "-19", "-q", "-c", "-T1", stdin=archive)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".tiny-") as scratch:
        made = Path(scratch) / "image.qcow2"
        disk.make_bootable(source.image, initrd, Path(scratch), made)
        size = made.stat().st_size
        if size > MAX_BYTES:
            raise BuildFailed(reason=f"it would be {size} bytes, more than {MAX_BYTES}.")
        made.replace(output)
    stamp.write_text(key)
    return output


def _inputs_key(packages: Iterable[kernel.Package]) -> str:
    """Return one digest of everything that decides the image's content."""
    digest = hashlib.sha256()

    def add(name: str, data: bytes) -> None:
        digest.update(f"{name}:{len(data)}:".encode() + data)

    for package in packages:
        add(package.name, package.version.encode())
    for path in [*rootfs.programs(), *disk.loader_files()]:
        add(str(path), path.read_bytes())
    for name in _SOURCES:
        add(name, resources.files("hostler.images.tiny").joinpath(name).read_bytes())
    for name, data in rootfs.overlay_files().items():
        add(name, data)
    return digest.hexdigest()
