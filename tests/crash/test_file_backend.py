"""Kill -9 of a volume agent with the file driver, before, in the middle of and after what qemu-img does for it.

Real files, real conversions. Afterwards the change has taken place, content is what it should be, no part of a file is
left, and the doctor finds nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler.context import RequestContext
from hostler.db.models import Operation
from hostler.operations import doctor, notes
from tests.harness import backends, invariants
from tests.harness.client import Client
from tests.harness.fleet import Fleet
from tests.harness.ports import wait_for

QEMU_IMG = shutil.which("qemu-img")
pytestmark = [pytest.mark.timeout(900),
              pytest.mark.skipif(QEMU_IMG is None, reason="qemu-img is not installed")]
V3, NODE, BACKEND = "/volume/v3", "node1", "local"
MIB = 1024 * 1024


class Storage:
    """A cloud without hosts whose one storage node keeps files, with a qemu-img that can be held."""

    def __init__(self, directory: Path) -> None:
        self.fleet = Fleet(directory, hosts=0, nodes=1, overrides={
            "all": {"DEFAULT": {"service_down_time": 30}, "bus": {"silence_timeout": 2},
                    "conductor": {"retry_delay": 0.2}, "quota": {"volumes": -1, "gigabytes": -1}},
            NODE: {"volume": {"enabled_backends": BACKEND, "reconcile_interval": 3, "insecure_exports": True},
                   f"backend:{BACKEND}": {"driver": "file"}}})
        self.home = directory / NODE
        self.hold = directory / "hold"
        self.hold.mkdir()

    def start(self) -> None:
        """Start everything."""
        self.fleet.prepare()
        programs = self.hold / "bin"
        programs.mkdir()
        (programs / "qemu-img").symlink_to(Path(__file__).with_name("slow-qemu-img"))
        for service in self.fleet.control:
            self.fleet.add(service, service)
        self.fleet.add(NODE, "volume", environment={
            "PATH": f"{programs}:{os.environ['PATH']}", "HOLD": str(self.hold), "QEMU_IMG": str(QEMU_IMG)})
        self.client: Client = self.fleet.start()
        self.db = self.fleet.database()
        self.content = os.urandom(24 * MIB)
        self.image = self.client.make_image(data=self.content)

    def stop(self) -> None:
        """Stop everything."""
        self.release()
        self.fleet.stop()

    def file(self, kind: str, key: str) -> Path:
        """Return the file of a volume or snapshot."""
        return next(path for path in (self.home / "volumes" / BACKEND).glob(f"{kind}-{key}.*"))

    def release(self) -> None:
        """Hold no qemu-img any longer; those that outlived the agent end."""
        (self.hold / "order").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self.hold / "reached").read_text()), signal.SIGKILL)
        (self.hold / "reached").unlink(missing_ok=True)

    def kill_at(self, moment: str, request: Callable[[], Any], noun: str) -> str:
        """Make a request whose qemu-img is held at a moment, kill the agent there; returns the id of what is made."""
        (self.hold / "order").write_text(moment)
        answer = request()
        assert answer.status_code in (202, 200), answer.text
        process = self.fleet.processes[NODE]
        wait_for(lambda: (self.hold / "reached").exists(), f"qemu-img {moment}", every_s=0.005, timeout_s=30)
        if moment.endswith("middle"):
            wait_for(self._has_part, "a part of a file", every_s=0.005, timeout_s=10)
        process.kill()
        self.release()
        process.start()
        return str(answer.json().get(noun, {}).get("id", "")) if answer.content else ""

    def _has_part(self) -> bool:
        """Return whether a copy under way has written something."""
        places = (self.home / "volumes" / BACKEND, self.home / "volume" / "work")
        for path in (path for place in places for path in place.glob("*")):
            with contextlib.suppress(FileNotFoundError):
                if (path.suffix == ".part" or path.parent.name == "work") and path.stat().st_blocks * 512 > MIB:
                    return True
        return False

    def wait(self, noun: str, key: str, status: str = "available") -> dict[str, Any]:
        """Wait for a status; an error on the way is a false one."""
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(f"{V3}/{noun}s/{key}").json()[noun]
            assert not found["status"].startswith("error"), found
            return found if found["status"] == status else None

        found = wait_for(look, f"{noun} {key} {status}")
        assert isinstance(found, dict)
        return found

    def make(self, noun: str, **values: Any) -> str:
        """Undisturbed, make something; returns its id."""
        key = str(self.ask(noun, **values).json()[noun]["id"])
        self.wait(noun, key)
        return key

    def ask(self, noun: str, **values: Any) -> Any:
        """Ask for a volume, snapshot or backup."""
        if noun == "volume":
            values = {"size": 1, "imageRef": self.image, **values}
        return self.client.post(f"{V3}/{noun}s", {noun: values}, headers={"OpenStack-API-Version": "volume 3.59"})

    def check(self) -> None:
        """Check that nothing is left: in the records, among the files, by the doctor."""
        wait_for(lambda: not invariants.database_faults(self.db), "rest")
        assert not list((self.home / "volumes" / BACKEND).glob("*.part"))
        assert not list((self.home / "volume" / "work").iterdir())
        operation = self.db.write(lambda session: doctor.accept_audit(session, RequestContext.system()).id)
        report = wait_for(lambda: self._report(operation), "the doctor")
        assert isinstance(report, dict)
        assert (report["findings"], report["unseen"]) == ([], [])

    def _report(self, operation: str) -> dict[str, Any] | None:
        with self.db.reading() as session:
            row = session.get_one(Operation, operation)
            return notes.value(session, operation, notes.REPORT) if row.state == "succeeded" else None

    def holds_content(self, path: Path) -> bool:
        """Return whether a disk begins with the image's content, and is empty behind it."""
        image = self.hold / "image.raw"
        image.write_bytes(self.content)
        done = subprocess.run([str(QEMU_IMG), "compare", "-f", "raw", "-F", path.suffix[1:], str(image), str(path)],
                              capture_output=True, check=False)
        return done.returncode == 0


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Storage(tmp_path_factory.mktemp("crash"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("moment", ["convert before", "convert middle", "convert after"])
def test_killed_in_a_conversion(storage: Storage, moment: str) -> None:
    volume = storage.kill_at(moment, lambda: storage.ask("volume"), "volume")
    storage.wait("volume", volume)
    assert storage.holds_content(storage.file("volume", volume))
    storage.check()


@pytest.mark.parametrize("moment", ["resize before", "resize after"])
def test_killed_in_an_extension(storage: Storage, moment: str) -> None:
    volume = storage.make("volume")
    storage.kill_at(moment, lambda: storage.client.post(f"{V3}/volumes/{volume}/action", {
        "os-extend": {"new_size": 2}}), "volume")
    assert storage.wait("volume", volume)["size"] == 2
    assert storage.holds_content(storage.file("volume", volume))
    storage.check()


@pytest.mark.parametrize("moment", ["convert before", "convert middle", "convert after"])
def test_killed_in_a_snapshot(storage: Storage, moment: str) -> None:
    volume = storage.make("volume")
    if not _is_copied(storage, volume):
        pytest.skip("the file system shares blocks between files: a snapshot needs no copy")
    snapshot = storage.kill_at(moment, lambda: storage.ask("snapshot", volume_id=volume), "snapshot")
    storage.wait("snapshot", snapshot)
    storage.wait("volume", volume)
    assert storage.holds_content(storage.file("snapshot", snapshot))
    storage.check()


def _is_copied(storage: Storage, volume: str) -> bool:
    """Return whether a copy of a volume's file takes blocks of its own here."""
    copy = storage.hold / "reflinked"
    done = subprocess.run(["cp", "--reflink=always", str(storage.file("volume", volume)), str(copy)],
                          capture_output=True, check=False)
    copy.unlink(missing_ok=True)
    return done.returncode != 0


@pytest.mark.parametrize("moment", ["convert middle", "convert after"])
def test_killed_in_a_backup(storage: Storage, moment: str) -> None:
    volume = storage.make("volume")
    backup = storage.kill_at(moment, lambda: storage.ask("backup", volume_id=volume), "backup")
    storage.wait("backup", backup)
    restored = storage.make("volume", imageRef=None, backup_id=backup)
    assert storage.holds_content(storage.file("volume", restored))
    storage.check()


@pytest.mark.parametrize("moment", ["convert middle", "convert after"])
def test_killed_in_a_restoration(storage: Storage, moment: str) -> None:
    volume = storage.make("volume")
    backup = storage.make("backup", volume_id=volume)
    storage.kill_at(moment, lambda: storage.client.post(f"{V3}/backups/{backup}/restore", {
        "restore": {"volume_id": volume}}), "restore")
    storage.wait("volume", volume)
    assert storage.holds_content(storage.file("volume", volume))
    storage.check()
