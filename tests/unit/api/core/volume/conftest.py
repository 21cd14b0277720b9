"""Fixtures of these tests: see `tests.harness.volume_core`."""

from __future__ import annotations

from tests.harness.volume_core import (
    cloud,
)

__all__ = ["cloud"]
