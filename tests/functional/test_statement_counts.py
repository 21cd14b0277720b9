"""What each verb may ask of the database, at most: a statement added to a hot path is seen here.

`python -m tests.harness.statement_counts sqlite --texts create` prints the statements behind a number.
"""

from __future__ import annotations

from pathlib import Path

from tests.harness.statement_counts import SERVICES, count_all, counted_cloud

# By service: statements, transactions, connections taken from the pool; a little above what they are.
LIMITS = {
    "create": {"api": (13, 1, 3), "conductor": (30, 5, 10)},
    "show": {"api": (4, 0, 2)},
    "page": {"api": (4, 0, 2)},
    "rebuild": {"api": (16, 1, 4), "conductor": (18, 3, 6)},
    "live migrate": {"api": (7, 1, 2), "conductor": (50, 9, 17)},
    # The old host's report that the guest is off in it, which comes in its own time: 59/10/20 without.
    "migrate": {"api": (7, 1, 2), "conductor": (60, 11, 21)},
    "confirm": {"api": (7, 1, 2), "conductor": (15, 2, 5)},
    "delete": {"api": (4, 1, 2), "conductor": (19, 2, 5)},
    "volume create": {"api": (8, 1, 4), "conductor": (26, 4, 9)},
    "volume show": {"api": (4, 0, 2)},
    "volume delete": {"api": (10, 1, 2), "conductor": (16, 2, 5)},
}


def test_no_verb_asks_more_of_the_database_than_it_may(tmp_path: Path) -> None:
    with counted_cloud(f"sqlite:///{tmp_path / 'cloud.db'}", tmp_path) as (cloud, verbs):
        counts = count_all(cloud, verbs)
    over = {(verb, service): tuple(counts[verb][service]) for verb in counts for service in SERVICES
            if any(found > limit for found, limit in
                   zip(counts[verb][service], LIMITS[verb].get(service, (0, 0, 0)), strict=True))}
    assert not over


def test_no_statement_is_compiled_again(tmp_path: Path) -> None:
    """Which takes longer than to execute it; SQLAlchemy says nothing of what it cannot keep."""
    again: dict[str, list[str]] = {}
    with counted_cloud(f"sqlite:///{tmp_path / 'cloud.db'}", tmp_path) as (cloud, verbs):
        count_all(cloud, verbs)
        for name, verb in verbs.by_name().items():
            cloud.count(verb)
            again[name] = [text for counter in cloud.counters.values() for text in counter.compiled
                           if "SAVEPOINT" not in text]
    assert not any(again.values()), again
