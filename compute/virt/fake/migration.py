"""Live migration between fake hosts: the guest's entry goes from one map to the other, or its file from one directory
to the other where the hosts are processes of their own. Either is one step: a crash finds the guest on one side.

It takes as long as it is configured to, reports progress, and can be aborted or forced to complete.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from compute.virt import driver as virt
from compute.virt import migration as terms
from compute.virt.fake.guest import FakeDomain
from hostler import errors, ids
from hostler.agent.files import write_atomically

MEMORY_BYTES = 128 << 20
DISK_BYTES = 1 << 30


@dataclasses.dataclass
class Sending:
    """A guest on its way."""

    seconds: float
    began_at: float = dataclasses.field(default_factory=time.monotonic)
    aborted: threading.Event = dataclasses.field(default_factory=threading.Event)
    hurried: threading.Event = dataclasses.field(default_factory=threading.Event)

    def last(self, goes_on: Callable[[], bool]) -> None:
        """Wait as long as it takes; raises MigrationAborted, or AgentError when the guest did not survive."""
        while not self.hurried.is_set() and self._part() < 1:
            if self.aborted.wait(0.02):
                raise errors.MigrationAborted()
            if not goes_on():
                raise errors.AgentError(reason="The guest went off on its way.")
        if self.aborted.is_set():
            raise errors.MigrationAborted()

    def progress(self) -> terms.Transfer:
        """Return progress that grows evenly."""
        part = self._part()
        memory, disk = int(MEMORY_BYTES * part), int(DISK_BYTES * part)
        return terms.Transfer(MEMORY_BYTES, memory, MEMORY_BYTES - memory, DISK_BYTES, disk, DISK_BYTES - disk)

    def _part(self) -> float:
        return min(1.0, (time.monotonic() - self.began_at) / self.seconds) if self.seconds else 1.0


class FakeMigrations:
    """The part of the fake driver that migrates; `features` are those of its host's processor."""

    host: str
    domains: dict[str, FakeDomain]
    _directory: Path | None
    _lock: threading.RLock

    def _be_found(self, migration_s: float) -> None:
        self.features: frozenset[str] = frozenset()
        self.migration_s = migration_s
        self._sendings: dict[str, Sending] = {}
        self._name = ids.new_id()
        _HERE[self._name] = self

    def _find(self, server_id: str) -> FakeDomain | None:
        raise NotImplementedError

    def _keep(self, server_id: str) -> None:
        raise NotImplementedError

    def _tell(self, server_id: str, kind: str) -> None:
        raise NotImplementedError

    def _answer(self, step: str, server_id: str | None = None) -> None:
        raise NotImplementedError

    def describe_migration(self, server_id: str) -> terms.Origin:
        """Return its disks, and this host's processor."""
        self._answer("driver.describe_migration", server_id)
        domain = self._find(server_id)
        if domain is None or domain.state not in (virt.RUNNING, virt.PAUSED):
            raise errors.AgentError(reason="The guest does not run on its host.")
        return terms.Origin(" ".join(sorted(self.features)), dict.fromkeys(domain.disks, DISK_BYTES),
                            domain.base, "qcow2" if domain.base else "")

    def prepare_migration(self, guest: virt.Guest, origin: terms.Origin, *, copied: tuple[str, ...], on_base: bool
                          ) -> terms.Landing:
        """Compare processors."""
        self._answer("driver.prepare_migration", guest.server.id)
        lacking = sorted(set(origin.cpu.split()) - self.features)
        if lacking:
            raise errors.AgentError(reason="The target host does not have the guest's processor: it lacks "
                                           f"{', '.join(lacking)}.")
        changes = {"host": self.host, "nics": [nic.port_id for nic in guest.nics]}
        return terms.Landing(f"{self._name} {self._directory or ''}", json.dumps(changes), copied, on_base)

    def send_guest(self, server_id: str, landing: terms.Landing, manner: terms.Manner) -> None:
        """Take as long as configured, then let go of it."""
        self._answer("driver.send:before", server_id)
        sending = self._sendings.setdefault(server_id, Sending(self.migration_s))
        try:
            self._answer("driver.send:copy", server_id)
            sending.last(lambda: self._goes_on(server_id))
            self._hand_over(server_id, landing)
        finally:
            self._sendings.pop(server_id, None)
        self._answer("driver.send:after", server_id)

    def land(self, server_id: str, domain: dict[str, Any]) -> None:
        """Take over a guest of another fake host of this process."""
        with self._lock:
            self.domains[server_id] = FakeDomain(**domain)
            self._keep(server_id)
            self._tell(server_id, "paused" if domain["state"] == virt.PAUSED else "started")

    def get_migration(self, server_id: str) -> terms.Transfer | None:
        """Return its progress."""
        sending = self._sendings.get(server_id)
        return sending.progress() if sending is not None else None

    def abort_migration(self, server_id: str) -> None:
        """Stop it."""
        self._answer("driver.abort_migration", server_id)
        sending = self._sendings.get(server_id)
        if sending is not None:
            sending.aborted.set()

    def force_migration(self, server_id: str) -> None:
        """End it at once."""
        self._answer("driver.force_migration", server_id)
        sending = self._sendings.get(server_id)
        if sending is not None:
            sending.hurried.set()

    def _goes_on(self, server_id: str) -> bool:
        with self._lock:
            domain = self._find(server_id)
            return domain is None or domain.state in (virt.RUNNING, virt.PAUSED)

    def _hand_over(self, server_id: str, landing: terms.Landing) -> None:
        with self._lock:
            domain = self._find(server_id)
            if domain is None:
                return
            moved = dataclasses.asdict(domain) | json.loads(landing.definition)
            if landing.paused:
                moved["state"] = virt.PAUSED
            name, _, directory = landing.uri.partition(" ")
            target = _HERE.get(name)
            if target is not None:
                del self.domains[server_id]
                self._keep(server_id)
            elif self._directory is not None:
                path = self._directory / f"{server_id}.json"
                write_atomically(path, json.dumps(
                    moved | {"host": self.host, "sent_to": moved["host"]}).encode())
                path.rename(Path(directory) / path.name)
                del self.domains[server_id]
            self._tell(server_id, "removed")
        if target is not None:
            target.land(server_id, moved)


# The fake hosts of this process, by a name that each gives itself.
_HERE: WeakValueDictionary[str, FakeMigrations] = WeakValueDictionary()
