"""What each verb may ask of the database, at most: whoever adds a statement to a hot path sees it here.

`python -m tests.harness.statement_counts sqlite --texts create` prints the statements behind a number.
"""

from __future__ import annotations

from pathlib import Path

from tests.harness.statement_counts import SERVICES, count_all, counted_cloud

# By service: statements, transactions, connections taken from the pool.
LIMITS = {
    "create": {"api": (20, 1, 2), "conductor": (34, 6, 9), "scheduler": (9, 1, 2)},
    "show": {"api": (7, 0, 1)},
    "page": {"api": (6, 0, 1)},
    "delete": {"api": (7, 1, 1), "conductor": (29, 3, 7)},
    "volume create": {"api": (11, 1, 3), "conductor": (20, 4, 6), "scheduler": (7, 1, 2)},
    "volume show": {"api": (2, 0, 1)},
    "volume delete": {"api": (14, 1, 1), "conductor": (18, 3, 5)},
}


def test_no_verb_asks_more_of_the_database_than_it_may(tmp_path: Path) -> None:
    with counted_cloud(f"sqlite:///{tmp_path / 'cloud.db'}", tmp_path) as (cloud, verbs):
        counts = count_all(cloud, verbs)
    over = {(verb, service): tuple(counts[verb][service]) for verb in counts for service in SERVICES
            if any(found > limit for found, limit in
                   zip(counts[verb][service], LIMITS[verb].get(service, (0, 0, 0)), strict=True))}
    assert not over
