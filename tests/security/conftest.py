"""Fixtures of these tests: see `tests.harness.fixtures`."""

from __future__ import annotations

from tests.harness.answers import answers_are_checked, checked_answers
from tests.harness.fixtures import client, cloud, database_url, image, running

__all__ = ["answers_are_checked", "checked_answers", "client", "cloud", "database_url", "image", "running"]
