"""Numbers of reports rise, whatever becomes of clock and file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler.agent.sequence import Sequence


def test_numbers_rise_across_restarts_with_a_clock_set_back(tmp_path: Path) -> None:
    path = tmp_path / "reports"
    found = []
    for moment in (1_000_000.0, 400_000.0, 1_000_001.5, 1_000_001.6):
        sequence = Sequence(path, lambda moment=moment: moment)  # type: ignore[misc]
        found += [sequence.next() for _ in range(3)]
    assert found == sorted(set(found))
    assert found[-1] < 1 << 63


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"no number\n", b"9" * 40])
def test_a_damaged_file_is_as_a_lost_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reports").write_bytes(content)
    assert Sequence(tmp_path / "reports", lambda: 5.0).next() == 5 << 24
