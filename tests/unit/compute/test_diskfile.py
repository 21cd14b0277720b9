"""Image cache, disk files and the config drive with real files and real tools."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from compute import configdrive, diskfile, diskheader
from compute.diskfile import DiskFiles
from compute.layout import Layout
from hostler import errors
from hostler.images import inspect
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec, ServerSpec
from tests.harness.compute_agents import make_server

CONTENT = b"image" * 1000 + b"\0" * 3_000_000 + b"end"
needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    (tmp_path / "cache").mkdir()
    return ImageCache(tmp_path / "cache", max_bytes=0, min_age_s=0)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "stored"
    path.write_bytes(CONTENT)
    return path


def image_of(content: bytes, **where: str) -> ImageSpec:
    return ImageSpec(id="i1", sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content),
                     virtual_size_bytes=len(content), disk_format="raw", **where)


@pytest.fixture
def web(stored: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(stored.parent))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_shared_file_is_copied_once_and_sparsely(cache: ImageCache, stored: Path) -> None:
    image = image_of(CONTENT, path=str(stored))
    found = cache.fetch(image)
    assert found.read_bytes() == CONTENT and found.name == image.sha256
    stored.unlink()
    assert cache.fetch(image) == found


def test_url_is_used_where_the_file_is_not_shared(cache: ImageCache, web: str) -> None:
    found = cache.fetch(image_of(CONTENT, path="/not/here", url=f"{web}/stored"))
    assert found.read_bytes() == CONTENT


def test_threads_fetch_one_image_once(cache: ImageCache, stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    real = ImageCache._fetch_new
    monkeypatch.setattr(ImageCache, "_fetch_new", lambda *args: (fetched.append(1), time.sleep(0.1), real(*args)))
    image = image_of(CONTENT, path=str(stored))
    threads = [threading.Thread(target=cache.fetch, args=(image,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [1]


def test_an_image_of_another_host_is_fetched_once(cache: ImageCache, stored: Path) -> None:
    fetched: list[Path] = []

    def fetch(path: Path) -> None:
        fetched.append(path)
        if len(fetched) == 1:
            raise errors.AgentError(reason="The host is silent.")
        shutil.copy(stored, path)

    with pytest.raises(errors.AgentError, match="silent"):
        cache.adopt("c0", fetch)
    for _ in range(2):
        assert cache.adopt("c0", fetch).read_bytes() == CONTENT
    assert len(fetched) == 2
    assert cache.trim({"c0"}) == [] and cache.trim(set()) == ["c0"]


@pytest.mark.parametrize("where", [{"url": "missing"}, {}, {"path": "other"}])
def test_what_cannot_be_had_or_is_not_what_it_claims(cache: ImageCache, web: str, tmp_path: Path,
                                                     where: dict[str, str]) -> None:
    (tmp_path / "other").write_bytes(b"something else")
    if "url" in where:
        where = {"url": f"{web}/{where['url']}"}
    if "path" in where:
        where = {"path": str(tmp_path / "other")}
    with pytest.raises(errors.AgentError) as caught:
        cache.fetch(image_of(CONTENT, **where))
    assert str(tmp_path) not in str(caught.value)
    assert [name for name in os.listdir(tmp_path / "cache") if not name.endswith(".lock")] == []


def test_trim_takes_the_longest_unused_and_never_what_is_used(tmp_path: Path, cache: ImageCache) -> None:
    images = []
    for number in range(3):
        content = os.urandom(10_000)
        (tmp_path / f"s{number}").write_bytes(content)
        images.append(image_of(content, path=str(tmp_path / f"s{number}")))
        os.utime(cache.fetch(images[-1]), (number, number))
    careful = ImageCache(tmp_path / "cache", max_bytes=13_000, min_age_s=0)
    assert careful.trim({images[0].sha256}) == [images[1].sha256]
    assert ImageCache(tmp_path / "cache", max_bytes=0, min_age_s=1 << 40).trim(set()) == []
    assert sorted(cache.trim({images[0].sha256})) == [images[2].sha256]


@needs_qemu_img
def test_disks_are_made_once_and_grow_to_the_flavor(tmp_path: Path, stored: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    image = image_of(CONTENT)
    server = make_server(image=image, root_gib=2, swap_mib=1)
    layout.server(server.id).mkdir()
    (layout.server(server.id) / "disk.part").write_text("of a crashed try")
    disks = DiskFiles(layout).ensure(server, stored)
    assert [(disk.target, disk.format) for disk in disks] == [("vda", "qcow2"), ("vdb", "raw")]
    made = disks[0].path.stat()
    assert DiskFiles(layout).ensure(server, stored) == disks and disks[0].path.stat().st_mtime_ns == made.st_mtime_ns
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", disks[0].path]))
    assert info["virtual-size"] == 2 << 30 and info["backing-filename-format"] == "raw"
    assert not list(layout.server(server.id).glob("*.part")) and stored.read_bytes() == CONTENT


@needs_qemu_img
def test_disks_that_take_copies_are_resized_where_they_differ(tmp_path: Path, stored: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    server = make_server(image=image_of(CONTENT), root_gib=2, swap_mib=1)
    layout.server(server.id).mkdir()
    commands, run_tool = [], diskfile.run_tool

    def note(command: Sequence[str]) -> None:
        commands.append(command[1])
        run_tool(command)

    monkeypatch.setattr(diskfile, "run_tool", note)
    disks = DiskFiles(layout).ensure(server, stored, sizes={"vda": 2 << 30, "vdb": 1 << 20})
    assert "resize" not in commands
    assert [diskheader.size_of(disk) for disk in disks] == [2 << 30, 1 << 20]
    assert DiskFiles(layout).ensure(server, stored, sizes={"vda": 3 << 30, "vdb": 2 << 20}) == disks
    assert commands.count("resize") == 2
    assert [diskheader.size_of(disk) for disk in disks] == [3 << 30, 2 << 20]


@needs_qemu_img
def test_an_iso_is_a_disc_of_its_own_size(tmp_path: Path, stored: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    server = make_server(image=dataclasses.replace(image_of(CONTENT), disk_format="iso"), root_gib=2)
    layout.server(server.id).mkdir()
    [disc] = DiskFiles(layout).ensure(server, stored)
    assert (disc.target, disc.format, disc.readonly, disc.cdrom) == ("vda", "qcow2", True, True)
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", disc.path]))
    assert info["virtual-size"] - len(CONTENT) in range(512) and info["backing-filename-format"] == "raw"


@needs_qemu_img
def test_a_flavor_too_small_for_the_image_is_refused(tmp_path: Path, stored: Path) -> None:
    layout = Layout(tmp_path)
    big = ImageSpec(id="i", sha256="x", size_bytes=1, virtual_size_bytes=5 << 30, disk_format="raw")
    server = make_server(image=big, root_gib=1)
    layout.server(server.id).mkdir(parents=True)
    with pytest.raises(errors.AgentError, match="too small"):
        DiskFiles(layout).ensure(server, stored)
    assert list(layout.server(server.id).iterdir()) == []


@pytest.mark.skipif(not any(shutil.which(tool) for tool in configdrive.TOOLS), reason="no ISO tool is installed")
def test_config_drive_is_an_iso_with_the_label_guests_look_for(tmp_path: Path, server: ServerSpec) -> None:
    configdrive.build(server, tmp_path / "drive")
    volume = (tmp_path / "drive").read_bytes()
    assert volume[0x8001:0x8006] == b"CD001" and volume[0x8028:0x8030] == b"config-2"
    assert server.id.encode() in volume
    assert "openstack/latest/meta_data.json" in configdrive.documents(server)
    assert [entry.name for entry in tmp_path.iterdir()] == ["drive"]


@needs_qemu_img
def test_a_copy_stands_alone_and_is_private(tmp_path: Path) -> None:
    base, overlay, copy = tmp_path / "base", tmp_path / "disk", tmp_path / "snapshot.1"
    for command in (["qemu-img", "create", "-q", "-f", "qcow2", str(base), "8M"],
                    ["qemu-io", "-f", "qcow2", "-c", "write -P 65 0 1M", str(base)],
                    ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(overlay), "16M"],
                    ["qemu-io", "-f", "qcow2", "-c", "write -P 66 1M 1M", str(overlay)]):
        subprocess.run(command, check=True, capture_output=True)
    copy.write_bytes(b"of a guest that went off while it was copied")
    percents: list[int] = []
    DiskFiles(Layout(tmp_path)).copy(overlay, copy, percents.append)
    told = json.loads(subprocess.run(["qemu-img", "info", "--output=json", str(copy)], check=True,
                                     capture_output=True).stdout)
    assert (told["format"], told["virtual-size"], told.get("backing-filename")) == ("qcow2", 16 << 20, None)
    assert subprocess.run(["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", str(overlay), str(copy)],
                          check=False).returncode == 0
    assert copy.stat().st_mode & 0o077 == 0
    assert inspect.check_file(copy, "1", "qcow2") == 16 << 20
