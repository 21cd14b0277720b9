"""Fixtures of these tests: see `tests.harness.network_core`."""

from __future__ import annotations

from tests.harness.network_core import cloud

__all__ = ["cloud"]
