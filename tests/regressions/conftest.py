"""Fixtures of these tests: see `tests.harness.fixtures`."""

from __future__ import annotations

from tests.harness.fixtures import client, cloud, database_url, image, running

__all__ = ["client", "cloud", "database_url", "image", "running"]
