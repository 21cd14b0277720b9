"""How often a verb may wait for the database, all services together: where one statement does for several, PostgreSQL
needs fewer than `tests/functional/test_statement_counts.py` sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import databases
from tests.harness.statement_counts import count_all, counted_cloud

# In a live migration a busy machine needs one call to watch (63 without); in a cold one is the old host's report, which
# comes in its own time (69 without).
LIMITS = {"create": 40, "show": 4, "page": 4, "rebuild": 35, "live migrate": 72, "migrate": 76, "confirm": 22,
          "delete": 18, "volume create": 36, "volume show": 2, "volume delete": 26}


def test_no_verb_waits_for_the_database_more_often_than_it_may(tmp_path: Path) -> None:
    reason = databases.missing("postgresql")
    if reason:
        pytest.skip(reason)
    with databases.running("postgresql", tmp_path) as url, counted_cloud(url, tmp_path) as (cloud, verbs):
        counts = count_all(cloud, verbs)
    waits = {verb: sum(found.round_trips for found in by_service.values()) for verb, by_service in counts.items()}
    assert {verb: count for verb, count in waits.items() if count > LIMITS[verb]} == {}
