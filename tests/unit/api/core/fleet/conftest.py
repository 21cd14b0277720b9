"""Fixtures of these tests: see `tests.harness.fleet_core`."""

from __future__ import annotations

from tests.harness.fleet_core import (
    cloud,
    get,
)

__all__ = ["cloud", "get"]
