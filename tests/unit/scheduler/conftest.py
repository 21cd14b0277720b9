"""Fixtures of these tests: see `tests.harness.scheduler_rig`."""

from __future__ import annotations

from tests.harness.scheduler_rig import (
    add_hosts,
    db,
    make_group,
    manager,
)

__all__ = ["add_hosts", "db", "make_group", "manager"]
