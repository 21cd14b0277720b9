"""The systemd units are valid, and their sandboxes are as strong as the operator's guide says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "etc/systemd").glob("*.service"))


def documented() -> dict[str, float]:
    """Return unit → score, of the table in the guide."""
    guide = (ROOT / "docs/operator-guide.md").read_text()
    rows = re.findall(r"^\| (`hostler-[^|]*) \| (\d\.\d) \|", guide, re.MULTILINE)
    return {name: float(score) for names, score in rows for name in re.findall(r"`([^`]+)`", names)}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_score_is_the_documented_one(unit: Path) -> None:
    """Another release of systemd may weigh a setting otherwise, so a little more is no failure."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", str(unit)], capture_output=True, text=True,
                          check=False)
    found = re.search(r"Overall exposure level for .*: (\d+\.\d)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= documented()[unit.stem] + 0.3


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line
                  and "is not executable" not in line]
    assert complaints == []
