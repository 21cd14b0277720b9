"""A cloud whose volumes are files that the test reads and writes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hostler.agent import programs
from tests.harness.allinone import AllInOne
from tests.harness.client import Client
from tests.harness.ports import wait_for


class World:
    """The cloud, and its volumes' files."""

    def __init__(self, cloud: AllInOne, client: Client) -> None:
        self.cloud = cloud
        self.client = client

    def make(self, noun: str, **values: Any) -> str:
        """Create a volume, snapshot or backup and wait for it."""
        answer = self.client.post(f"/volume/v3/{noun}s", {noun: values})
        assert answer.status_code == 202, answer.text
        key = str(answer.json()[noun]["id"])
        self.wait(noun, key)
        return key

    def wait(self, noun: str, key: str) -> dict[str, Any]:
        """Wait until it is available; returns it."""
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.get(f"/volume/v3/{noun}s/{key}").json()[noun]
            assert "error" not in found["status"], found
            return found if found["status"] == "available" else None

        return wait_for(look, f"{noun} {key}")  # type: ignore[return-value]

    def act(self, volume: str, **action: Any) -> dict[str, Any]:
        """Do something with a volume and wait until it is done."""
        answer = self.client.post(f"/volume/v3/volumes/{volume}/action", action)
        assert answer.status_code == 202, answer.text
        self.wait("volume", volume)
        return answer.json() if answer.content else {}

    def file(self, volume: str) -> Path:
        """Return where a volume is."""
        found, = (self.cloud.directory / "state" / "volumes").glob(f"*/volume-{volume}.*")
        return found

    def write(self, volume: str, byte: int, at_mib: int, size_mib: int = 1) -> None:
        """Write into a volume that nobody has."""
        path = self.file(volume)
        programs.run(["qemu-io", "-f", path.suffix[1:], "-c", f"write -P {byte} {at_mib}M {size_mib}M", str(path)])

    def digest(self, volume: str) -> str:
        """Return a digest of a volume's whole content."""
        path, out = self.file(volume), self.cloud.directory / "content.raw"
        programs.run(["qemu-img", "convert", "-f", path.suffix[1:], "-O", "raw", str(path), str(out)])
        found = sum_of(out)
        out.unlink()
        return found

    def backups_bytes(self) -> int:
        """Return what the backup store holds."""
        store = self.cloud.directory / "state" / "backups"
        return sum(path.stat().st_size for path in store.rglob("*.blocks"))

    def left_over(self) -> list[str]:
        """Return files that live only as long as a call."""
        return [path.name for path in (self.cloud.directory / "state" / "volume" / "work").iterdir()]


def sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
