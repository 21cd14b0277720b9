"""What each verb asks of the database: statements, transactions and checkouts, by service.

The cloud runs in this process with a database object for each service; heartbeats, polling and sweeps are slowed down
so far that only the verb counts. `python -m tests.harness.statement_counts [sqlite|postgresql|mariadb …]` prints the
table; `--texts VERB` prints the statements of one verb, each with the median of the milliseconds until its answer.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import CacheStats

from hostler.db.engine import Database
from hostler.db.models import Operation
from hostler.operations import states
from tests.harness import databases
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

SERVICES = ("api", "conductor")
REPEATS = 2
_TURNS = 12  # over which a statement's wait is taken
# Nothing but the verb at work: the first of each kind happens while the cloud starts.
_CALM: dict[str, Any] = {
    "heartbeat_interval": 300, "service_down_time": 3000, "conductor.poll_interval": 300,
    "conductor.lease_seconds": 3000, "conductor.sweep_interval": 3000, "conductor.restart_interval": 3000,
    "scheduler.refresh_interval": 3000, "scheduler.full_refresh_interval": 3000}


# How SQLAlchemy came by a statement's text: not from what it keeps.
_COMPILED = (CacheStats.CACHE_MISS, CacheStats.NO_CACHE_KEY)


class Counts(NamedTuple):
    """What one service asked of its database."""

    statements: int = 0
    transactions: int = 0  # each is two round trips more; reads and single statements run without one
    checkouts: int = 0

    @property
    def round_trips(self) -> int:
        """How often the service waits for an answer of the database."""
        return self.statements + 2 * self.transactions

    def __str__(self) -> str:
        return f"{self.statements}/{self.transactions}/{self.checkouts}"


class Counter:
    """Counts what one service's database object does."""

    def __init__(self, db: Database) -> None:
        self.texts: list[str] = []
        self.compiled: list[str] = []
        self.waits_ms: list[tuple[str, float]] = []
        self._sent_at: dict[int, float] = {}
        self._transactions = 0
        self._checkouts = 0
        self._singly = db.engine.dialect.name == "postgresql"  # `hostler.db.timeouts.execute_singly`
        event.listen(db.engine, "before_cursor_execute", self._note_statement)
        event.listen(db.engine, "after_cursor_execute", self._note_answer)
        event.listen(db.engine, "checkout", self._note_checkout)

    def _note_statement(self, *call: Any) -> None:
        if call[2].startswith(("BEGIN", "START TRANSACTION")):
            self._transactions += 1  # not the engine's commits: a session in autocommit says that, too
        else:
            _, _, text, rows, context, many = call
            if context.cache_hit in _COMPILED:
                self.compiled.append(text)
            self.texts += [text] * (len(rows) if many and self._singly else 1)
        self._sent_at[threading.get_ident()] = time.perf_counter()

    def _note_answer(self, *call: Any) -> None:
        waited_s = time.perf_counter() - self._sent_at[threading.get_ident()]
        self.waits_ms.append((" ".join(call[2].split()), waited_s * 1000))

    def _note_checkout(self, *_call: object) -> None:
        self._checkouts += 1

    def reset(self) -> None:
        """Start from nothing."""
        self.texts, self.compiled, self._transactions, self._checkouts = [], [], 0, 0
        self.waits_ms = []

    @property
    def counts(self) -> Counts:
        """What was counted since `reset`."""
        return Counts(len(self.texts), self._transactions, self._checkouts)


class CountedCloud(Cloud):
    """A cloud whose services count what they ask of the database; `db` itself is not counted."""

    def __init__(self, directory: Path, url: str) -> None:
        self.counters: dict[str, Counter] = {}
        self._opened: list[Database] = []
        super().__init__(directory, hosts=2, overrides={**_CALM, "database.connection": url})

    def database_of(self, service: str) -> Database:
        """Return a database object of the service's own."""
        db = Database.from_conf(self.conf)
        self._opened.append(db)
        self.counters[service] = Counter(db)
        return db

    def stop(self) -> None:
        """Stop everything."""
        super().stop()
        for db in self._opened:
            db.dispose()

    def settle(self) -> None:
        """Wait until all accepted operations have ended."""
        unfinished = sa.select(Operation.id).where(Operation.state.in_(states.UNFINISHED)).limit(1)
        for _ in range(2000):
            with self.db.reading() as session:
                if session.scalar(unfinished) is None:
                    return
            time.sleep(0.01)
        raise AssertionError("an operation does not end")

    def count(self, verb: Callable[[], object]) -> dict[str, Counts]:
        """Return what `verb` and the operations it starts ask of the database, by service."""
        for counter in self.counters.values():
            counter.reset()
        verb()
        self.settle()
        return {service: counter.counts for service, counter in self.counters.items()}


class Verbs:
    """The verbs that are counted; each works on what the one before it made."""

    def __init__(self, cloud: CountedCloud, client: Client) -> None:
        self._cloud, self._client = cloud, client
        self._image = client.make_image()
        self._made = ""

    def by_name(self) -> dict[str, Callable[[], object]]:
        """Return the verbs in the order in which they work."""
        return {"create": self._create, "show": lambda: self._get(f"/compute/v2.1/servers/{self._made}"),
                "page": lambda: self._get("/compute/v2.1/servers/detail?limit=10"),
                "rebuild": lambda: self._act(rebuild={"imageRef": self._image}),
                "live migrate": lambda: self._act(**{"os-migrateLive": {"host": None, "block_migration": "auto"}}),
                "migrate": lambda: self._act(migrate=None), "confirm": lambda: self._act(confirmResize=None),
                "delete": self._delete,
                "volume create": self._create_volume,
                "volume show": lambda: self._get(f"/volume/v3/volumes/{self._made}"),
                "volume delete": self._delete_volume}

    def _get(self, path: str) -> None:
        self._client.get(path).raise_for_status()

    def _create(self) -> None:
        self._made = self._client.create_server(self._image)

    def _act(self, **action: Any) -> None:
        answer = self._client.post(f"/compute/v2.1/servers/{self._made}/action", action,
                                   headers={"OpenStack-API-Version": "compute 2.68"})
        answer.raise_for_status()

    def _delete(self) -> None:
        self._client.delete(f"/compute/v2.1/servers/{self._made}").raise_for_status()

    def _create_volume(self) -> None:
        answer = self._client.post("/volume/v3/volumes", {"volume": {"size": 1}})
        answer.raise_for_status()
        self._made = answer.json()["volume"]["id"]

    def _delete_volume(self) -> None:
        self._client.delete(f"/volume/v3/volumes/{self._made}").raise_for_status()


@contextlib.contextmanager
def counted_cloud(url: str, directory: Path) -> Iterator[tuple[CountedCloud, Verbs]]:
    """Run a counted cloud on the empty database at `url`."""
    cloud = CountedCloud(directory, url)
    try:
        verbs = Verbs(cloud, cloud.start())
        cloud.settle()
        yield cloud, verbs
    finally:
        cloud.stop()


def count_all(cloud: CountedCloud, verbs: Verbs) -> dict[str, dict[str, Counts]]:
    """Return the fewest that each verb took of some turns: the first fills caches, and others meet a refresh."""
    least: dict[str, dict[str, Counts]] = {}
    for _ in range(REPEATS):
        for name, verb in verbs.by_name().items():
            for service, found in cloud.count(verb).items():
                known = least.setdefault(name, {}).get(service, found)
                least[name][service] = min(known, found)
    return least


def _print(kind: str, texts_of: str | None) -> None:
    with tempfile.TemporaryDirectory(prefix="hostler-counts-") as made, \
            databases.running(kind, Path(made)) as url, counted_cloud(url, Path(made)) as (cloud, verbs):
        print(f"{kind}: statements/transactions/checkouts")
        for name, counts in count_all(cloud, verbs).items():
            print(f"  {name:14}", *(f"{service} {counts[service]!s:10}" for service in SERVICES))
        if texts_of is not None:
            _print_texts(cloud, verbs, texts_of)


def _print_texts(cloud: CountedCloud, verbs: Verbs, wanted: str) -> None:
    waits: dict[tuple[str, str], list[float]] = {}
    for _ in range(_TURNS):
        for name, verb in verbs.by_name().items():
            cloud.count(verb)
            if name == wanted:
                for service, counter in cloud.counters.items():
                    for text, waited_ms in counter.waits_ms:
                        waits.setdefault((service, text), []).append(waited_ms)
    for (service, text), found in waits.items():
        print(f"{service:10} {len(found) / _TURNS:4.3g} times {statistics.median(found):6.2f} ms  {text}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", default=[*databases.KINDS])
    parser.add_argument("--texts", metavar="VERB")
    options = parser.parse_args()
    for kind in options.databases:
        _print(kind, options.texts)


if __name__ == "__main__":
    main()
