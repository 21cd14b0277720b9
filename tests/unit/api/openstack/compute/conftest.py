"""Fixtures of these tests: see `tests.harness.compute_rest`."""

from __future__ import annotations

from tests.harness.compute_rest import (
    cloud,
)

__all__ = ["cloud"]
