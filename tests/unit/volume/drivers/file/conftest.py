"""Fixtures of these tests: see `tests.harness.file_backend`."""

from __future__ import annotations

from tests.harness.file_backend import (
    certificates,
    driver,
    make_driver,
    need_qemu,
    state,
)

__all__ = ["certificates", "driver", "make_driver", "need_qemu", "state"]
