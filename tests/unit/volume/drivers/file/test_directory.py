"""The directory of a back end: its marks, and what happens when it is not the one it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler import errors
from volume.drivers.file.directory import OWNER_MARK, SHARE_MARK, Directory


def make(path: Path, owner: str = "node1@local", *, own: bool = False) -> Directory:
    return Directory(path, owner=owner, own=own, memory=path.parent / f"{path.name}-memory-{owner}")


def test_a_directory_of_its_own_is_made_any_other_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(errors.AgentError, match="is not there; make it, or mount it"):
        make(tmp_path / "mount").open()
    made = make(tmp_path / "deep/own", own=True)
    made.open()
    assert made.check() == (tmp_path / "deep/own" / SHARE_MARK).read_text().strip()
    size, free = made.measure()
    assert 0 < free < size


def test_the_mark_stays_when_it_is_opened_again(tmp_path: Path) -> None:
    shares = set()
    for _ in range(3):
        directory = make(tmp_path)
        directory.open()
        shares.add(directory.check())
    assert len(shares) == 1
    assert {path.name for path in tmp_path.iterdir()} == {SHARE_MARK, OWNER_MARK}


def test_a_missing_mount_is_not_an_empty_back_end(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    directory = make(tmp_path / "mount")
    directory.open()
    (tmp_path / "mount").rename(tmp_path / "away")
    (tmp_path / "mount").mkdir()
    for attempt in (directory.open, directory.measure):
        with pytest.raises(errors.AgentError, match="is it mounted"):
            attempt()
    with pytest.raises(errors.AgentError) as told:
        directory.check()
    assert str(tmp_path) not in str(told.value)  # users read this one
    assert list((tmp_path / "mount").iterdir()) == []
    (tmp_path / "mount").rmdir()
    (tmp_path / "away").rename(tmp_path / "mount")
    directory.open()
    directory.check()


def test_two_back_ends_cannot_have_one_directory(tmp_path: Path) -> None:
    make(tmp_path, "node1@local").open()
    for owner in ("node1@other", "node2@local"):
        with pytest.raises(errors.AgentError, match="is the back end node1@local's"):
            make(tmp_path, owner).open()


def test_a_mark_cut_short_is_written_again(tmp_path: Path) -> None:
    (tmp_path / SHARE_MARK).touch()
    (tmp_path / OWNER_MARK).touch()
    directory = make(tmp_path)
    directory.open()
    assert directory.check()


def test_a_mark_that_came_with_the_share_is_kept(tmp_path: Path) -> None:
    (tmp_path / SHARE_MARK).write_text("11111111-2222-4333-8444-555555555555\n")
    directory = make(tmp_path)
    directory.open()
    assert directory.check() == "11111111-2222-4333-8444-555555555555"
