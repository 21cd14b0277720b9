"""Server disks, logs and images on hosts were readable by every user of the host; qemu-img ran without limits."""

from __future__ import annotations

import hashlib
import resource
import shutil
import stat
from pathlib import Path

import pytest

from compute import diskfile
from compute.layout import Layout
from compute.specfile import SpecFiles
from hostler.agent import programs
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec
from tests.harness.compute_agents import make_server

CONTENT = b"\1" * 4096
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def modes(directory: Path) -> set[str]:
    """Return the modes of all files below a directory."""
    return {stat.filemode(path.stat().st_mode) for path in directory.rglob("*")
            if path.is_file() and path.suffix != ".lock"}


def test_files_of_a_server_are_its_hosts_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    source = tmp_path / "image"
    source.write_bytes(CONTENT)
    image = ImageSpec(id="i", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=4096, virtual_size_bytes=4096,
                      disk_format="raw", path=str(source))
    server = make_server(image=image, swap_mib=1)
    SpecFiles(layout).save(server)
    base = ImageCache(layout.images, max_bytes=1 << 30, min_age_s=0).fetch(image)
    diskfile.DiskFiles(layout).ensure(server, base)
    assert {path.name for path in layout.server(server.id).iterdir()} == {"spec.json", "owner", "disk", "disk.swap"}
    assert modes(layout.root) == {"-rw-------"}
    assert not any(path.stat().st_mode & 0o067 for path in (layout.root, *layout.root.rglob("*")) if path.is_dir())


def test_what_an_earlier_release_left_open_is_closed_at_the_start(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    directory = layout.server("11111111-0000-4000-8000-000000000001")
    for path in (directory / "disk", directory / "console.log", layout.images / "ab"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        path.chmod(0o644)
    layout.prepare()
    ImageCache(layout.images, max_bytes=1, min_age_s=0)
    assert modes(layout.root) == {"-rw-------"}


def test_qemu_img_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "qemu-img"
    program.write_text(f"#!/bin/sh\nulimit -v > {tmp_path}/memory\nulimit -t > {tmp_path}/processor\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    diskfile.run_tool(["qemu-img", "create"])
    for name in ("memory", "processor"):
        assert (tmp_path / name).read_text().strip().isdigit(), name
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def test_the_volume_agents_tools_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As qemu-img on compute hosts; and none of them keeps what the agent may do beyond opening files."""
    program = tmp_path / "qemu-img"
    program.write_text(f"#!/bin/sh\nulimit -v > {tmp_path}/memory\nulimit -t > {tmp_path}/processor\n"
                       f"grep -E 'CapEff|NoNewPrivs' /proc/self/status > {tmp_path}/privileges\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for run in (lambda: programs.run(["qemu-img", "info"]),
                lambda: programs.run_watched(["qemu-img", "convert"], lambda _percent: None)):
        run()
        for name in ("memory", "processor"):
            assert (tmp_path / name).read_text().strip().isdigit(), name
        privileges = dict(line.split() for line in (tmp_path / "privileges").read_text().splitlines())
        assert privileges["NoNewPrivs:"] == "1"
        assert int(privileges["CapEff:"], 16) in (0, 1 << 1), "CAP_DAC_OVERRIDE at most"
        (tmp_path / "memory").unlink()
