"""Fixtures of these tests: see `tests.harness.volume_rest`."""

from __future__ import annotations

from tests.harness.volume_rest import (
    cloud,
)

__all__ = ["cloud"]
