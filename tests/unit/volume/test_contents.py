"""qemu-img under watch, back ends that fail alone, drivers found by name, contents reached over connections."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hostler import errors
from hostler.agent import programs
from hostler.resources.server.specs import ImageSpec
from hostler.resources.volume.specs import ConnectionSpec
from tests.harness.volume_agents import GIB, describe_image, load, make_image, wait_for
from volume import contents, qemu_img, service
from volume.backends import Backend, Backends
from volume.drivers import loading
from volume.drivers.driver import DiskSource, Stats
from volume.drivers.fake import FakeDriver
from volume.images import ImageContents


def raw_source(path: Path, size: int) -> DiskSource:
    with path.open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.truncate(size)
    return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, size)


def slow(source: DiskSource) -> DiskSource:
    """Return the same content at 64 KiB a second."""
    return DiskSource({"driver": "throttle", "throttle-group": "slow", "file": source.options["file"]},
                      source.size_bytes, ("throttle-group,id=slow,x-bps-total=65536",))


def test_a_copy_tells_how_far_it_is(tmp_path: Path) -> None:
    seen: list[int] = []
    source = raw_source(tmp_path / "a", 4 << 20)
    qemu_img.convert(source, str(tmp_path / "b"), "qcow2", seen.append)
    assert seen and all(0 <= percent <= 100 for percent in seen)
    copy = DiskSource({"driver": "qcow2", "file": {"driver": "file", "filename": str(tmp_path / "b")}}, 4 << 20)
    assert qemu_img.info(copy)["virtual-size"] == 4 << 20
    qemu_img.create(tmp_path / "c", "raw", 8 << 20)
    qemu_img.convert(copy, str(tmp_path / "c"), "raw", seen.append, create=False, target_is_zero=True)
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes() + bytes(4 << 20)


def test_a_copy_ends_when_it_is_not_wanted_any_more(tmp_path: Path) -> None:
    def unwanted(_percent: int) -> None:
        raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

    before = _children()
    with pytest.raises(errors.StaleAttempt):
        qemu_img.convert(slow(raw_source(tmp_path / "a", 1 << 20)), str(tmp_path / "b"), "raw", unwanted)
    assert _children() == before


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_a_copy_dies_with_its_agent(tmp_path: Path) -> None:
    raw_source(tmp_path / "a", 1 << 20)
    program = ("import sys\nfrom volume import qemu_img\nfrom volume.drivers.driver import DiskSource\n"
               "source = DiskSource({'driver': 'throttle', 'throttle-group': 's', 'file': {'driver': 'file',"
               " 'filename': sys.argv[1]}}, 1 << 20, ('throttle-group,id=s,x-bps-total=65536',))\n"
               "qemu_img.convert(source, sys.argv[2], 'raw', lambda percent: print(percent, flush=True))")
    agent = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "a"), str(tmp_path / "b")],
                             stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path))})
    assert agent.stdout is not None and agent.stdout.readline()
    copies = _children(agent.pid)
    assert copies
    agent.kill()
    agent.wait()
    agent.stdout.close()
    wait_for(lambda: not any(_is_alive(pid) for pid in copies))


def test_what_a_tool_says_is_put_in_our_words(tmp_path: Path) -> None:
    source = raw_source(tmp_path / "a", 1 << 20)
    with pytest.raises(errors.AgentError) as told:
        qemu_img.convert(source, "/nonexistent/b", "raw", lambda _percent: None)
    assert "nonexistent" not in str(told.value)
    with pytest.raises(errors.AgentError, match="no space left"):
        raise programs.failure(["qemu-img"], 1, "qemu-img: No space left on device")
    with pytest.raises(errors.AgentError, match="missing"):
        programs.run(["no-such-program-here"])
    with pytest.raises(errors.AgentError, match="did not end"):
        programs.run(["sleep", "5"], timeout_s=0.01)


def test_a_back_end_that_hangs_is_unhealthy_alone(tmp_path: Path) -> None:
    hung, well = FakeDriver(tmp_path / "hung"), FakeDriver(tmp_path / "well")
    release, answer = threading.Event(), hung.get_stats

    def hang() -> Stats:
        release.wait()
        return answer()

    hung.get_stats = hang  # type: ignore[method-assign]
    backends = Backends([Backend("hung", "fake", hung), Backend("well", "fake", well)])
    started = time.monotonic()
    for _ in range(3):
        backends.look(patience_s=0.05)
    assert time.monotonic() - started < 2
    assert threading.active_count() < 20
    first, second = (backend.describe() for backend in backends)
    assert (first["healthy"], first["unhealthy_reason"]) == (False, "It does not answer.")
    assert second["healthy"]
    release.set()

    def healthy() -> bool:
        backends.look(patience_s=1)
        return all(backend.describe()["healthy"] for backend in backends)

    wait_for(healthy)


def test_a_back_end_that_cannot_be_opened_is_opened_later(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path)
    driver.healthy = False
    backends = Backends([Backend("late", "fake", driver)])
    backends.look()
    with pytest.raises(errors.AgentError) as caught:
        backends.driver("late")
    assert "late is not available: The fake back end" in caught.value.details
    assert backends.find()["late"]["error"]
    driver.healthy = True
    backends.look()
    assert backends.driver("late") is driver
    backends.close()


def test_an_unknown_driver_is_told_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "volume.conf").write_text("[volume]\nenabled_backends = a\n[backend:a]\ndriver = tape\n")
    with pytest.raises(errors.AgentError, match=r"\[backend:a\] driver: 'tape' cannot be loaded.*fake, file, rbd"):
        service.build(load(tmp_path))


@pytest.mark.parametrize("name", ["a/b", ".hidden", "a@b", "a#b"])
def test_a_back_ends_name_fits_a_path_and_a_host_string(tmp_path: Path, name: str) -> None:
    (tmp_path / "volume.conf").write_text(f"[volume]\nenabled_backends = {name}\n")
    with pytest.raises(errors.AgentError, match="not a valid name for a back end"):
        service.build(load(tmp_path))


def test_a_drivers_options_stand_in_its_back_ends_group(tmp_path: Path) -> None:
    (tmp_path / "volume.conf").write_text(
        "[volume]\nenabled_backends = a, b\n[backend:a]\ndriver = fake\ncapacity_gib = 7\nvolume_backend_name = gold\n"
        "reserved_percent = 10\n[backend:b]\ndriver = fake\nmultiattach = false\n")
    backends = service.build(load(tmp_path)).backends
    backends.look()
    first, second = (backend.describe() for backend in backends)
    assert (first["total_gib"], first["reserved_percent"]) == (7.0, 10)
    assert first["capabilities"]["volume_backend_name"] == "gold" and first["capabilities"]["multiattach"]
    assert second["capabilities"]["volume_backend_name"] == "b" and not second["capabilities"]["multiattach"]


def test_the_sample_lists_every_drivers_options() -> None:
    groups = {group: {option.name for option in options} for group, options in loading.list_opts()}
    assert {"backend:fake", "backend:local", "backend:rbd"} <= groups.keys()
    assert all({"driver", "volume_backend_name", "reserved_percent", "over_subscription"} <= names
               for names in groups.values())


def test_an_agent_loads_neither_other_drivers_nor_a_database(tmp_path: Path) -> None:
    program = ("import sys, json\nfrom pathlib import Path\nfrom volume import service\nfrom hostler import conf\n"
               "file = Path(sys.argv[1], 'v.conf')\n"
               "file.write_text('[volume]\\nenabled_backends = a\\n[backend:a]\\ndriver=fake\\n')\n"
               "c = conf.load(config_files=[str(file)], overrides={'state_path': sys.argv[1],"
               " 'transport_url': 'kombu+memory:////'})\nservice.build(c)\nprint(json.dumps(sorted(sys.modules)))")
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], capture_output=True,
                         text=True, check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
    loaded = set(json.loads(out.stdout))
    assert not {"sqlalchemy", "hostler.db", "taskflow", "libvirt", "volume.drivers.rbd", "volume.drivers.file"} & loaded


@pytest.mark.parametrize(("connection", "options", "objects"), [
    (ConnectionSpec(protocol="nbd", data={"host": "10.0.0.1", "port": 10809, "export": "v"}),
     {"driver": "nbd", "server": {"type": "inet", "host": "10.0.0.1", "port": "10809"}, "export": "v"}, ()),
    (ConnectionSpec(protocol="nbd", data={"host": "h", "port": 1, "export": "v", "tls": True, "tls_name": "node2"}),
     {"driver": "nbd", "server": {"type": "inet", "host": "h", "port": "1"}, "export": "v", "tls-creds": "peer",
      "tls-hostname": "node2"}, ("tls-creds-x509,id=peer,endpoint=client,dir=/tls",)),
    (ConnectionSpec(protocol="rbd", data={"pool": "p", "image": "i", "user": "u", "monitors": []}),
     {"driver": "rbd", "pool": "p", "image": "i", "user": "u"}, ()),
])
def test_exports_of_other_nodes_can_be_read(connection: ConnectionSpec, options: dict[str, object],
                                            objects: tuple[str, ...], tmp_path: Path) -> None:
    with contents.content_of_connection(connection, 2, Backends([]), tmp_path, "/tls") as found:
        assert (found.options, found.objects, found.size_bytes) == (
            {"driver": "raw", "file": options}, objects, 2 * GIB)


def test_a_key_is_in_a_file_for_as_long_as_it_is_needed(tmp_path: Path) -> None:
    connection = ConnectionSpec(protocol="rbd", data={"pool": "p", "image": "i", "user": "u", "key": "c2VjcmV0",
                                                      "monitors": ["10.0.0.1:6789", "[fd00::1]:3300"]})
    with contents.content_of_connection(connection, 1, Backends([]), tmp_path, "") as found:
        key, = tmp_path.iterdir()
        assert key.read_text() == "c2VjcmV0" and key.stat().st_mode & 0o777 == 0o600
        assert found.objects == (f"secret,id=peer,format=base64,file={key}",)
        assert found.options["file"]["server"] == [{"host": "10.0.0.1", "port": "6789"},
                                                   {"host": "fd00::1", "port": "3300"}]
        assert "c2VjcmV0" not in json.dumps(found.options)
    assert not key.exists()


@pytest.mark.parametrize(("connection", "reason"), [
    (ConnectionSpec(protocol="nbd", data={"host": "h", "port": 1, "export": "v", "tls": True}), "set .volume. tls_dir"),
    (ConnectionSpec(protocol="file"), "over 'file'"),
])
def test_exports_that_cannot_be_read_say_why(connection: ConnectionSpec, reason: str, tmp_path: Path) -> None:
    with pytest.raises(errors.AgentError, match=reason), \
            contents.content_of_connection(connection, 1, Backends([]), tmp_path, ""):
        raise AssertionError("it was accepted")


def test_a_raw_file_is_read_where_it_is(tmp_path: Path) -> None:
    source = raw_source(tmp_path / "a", 1 << 20)
    with contents.raw_file(source, tmp_path, lambda _percent: None) as path:
        assert path == tmp_path / "a"
    shifted = DiskSource({**source.options, "offset": 512}, (1 << 20) - 512)
    with contents.raw_file(shifted, tmp_path, lambda _percent: None) as path:
        assert path != tmp_path / "a" and path.stat().st_size == shifted.size_bytes
    assert not path.exists()


def test_images_in_use_are_not_trimmed(tmp_path: Path) -> None:
    class Cache:
        def __init__(self) -> None:
            self.used: set[str] = set()

        def fetch(self, image: ImageSpec) -> Path:
            return Path(str(image.path))

        def trim(self, used: set[str]) -> list[str]:
            self.used = used
            return []

    cache = Cache()
    images = ImageContents(cache)  # type: ignore[arg-type]
    image = make_image(tmp_path)
    with images.content(image, 1) as first:
        with images.content(image, 1):
            pass
        images.trim()
        assert cache.used == {image.sha256}
        assert first.options["backing"] is None
    images.trim()
    assert cache.used == set()


def test_a_raw_image_is_never_taken_for_something_else(tmp_path: Path) -> None:
    """A raw image whose content is a qcow2 would make QEMU open what that names, if its format were guessed."""
    class Cache:
        def fetch(self, image: ImageSpec) -> Path:
            return Path(str(image.path))

    qcow2 = make_image(tmp_path)
    lying = describe_image(Path(str(qcow2.path)), "raw", qcow2.size_bytes)
    with pytest.raises(errors.AgentError), ImageContents(Cache()).content(lying, 1):  # type: ignore[arg-type]
        raise AssertionError("it was accepted")


def _children(parent: int | None = None) -> set[int]:
    path = Path(f"/proc/{parent or os.getpid()}/task")
    return {int(pid) for task in path.iterdir() for pid in (task / "children").read_text().split()}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


