"""Fixtures of these tests: see `tests.harness.network_core`."""

from __future__ import annotations

from tests.harness.network_core import (
    cloud,
    statements,
)

__all__ = ["cloud", "statements"]
