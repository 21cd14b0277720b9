"""Fixtures of these tests: see `tests.harness.conductor_rig`."""

from __future__ import annotations

from tests.harness.conductor_rig import (
    rig,
)

__all__ = ["rig"]
