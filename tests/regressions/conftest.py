"""Fixtures of these tests: see `tests.harness.fixtures`."""

from __future__ import annotations

import pytest

from tests.harness import chosen_database
from tests.harness.answers import answers_are_checked, checked_answers
from tests.harness.fixtures import client, cloud, database_url, identity_api, image, network_api, running

__all__ = ["answers_are_checked", "checked_answers", "client", "cloud", "database_url", "identity_api", "image",
           "network_api", "running"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, where a database server was chosen, what is the same on every database."""
    if chosen_database.KIND != "sqlite":
        left_out = [item for item in items if not chosen_database.is_asked_by(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
