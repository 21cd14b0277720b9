"""What services load at their start stays in memory, once for each process."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["api", "conductor", "scheduler", "compute", "volume", "console", "all_in_one"])
def test_no_service_loads_what_it_does_not_use(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from hostler.cmd import {service}; print(*sys.modules, sep=chr(10))"],
        capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines())
    assert {name for name in loaded if name.startswith("eventlet.")} | loaded & {"alembic", "mako"} == set()
