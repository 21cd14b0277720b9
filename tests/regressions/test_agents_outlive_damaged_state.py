"""What a power cut, a full disk or a second agent does to an agent's state directory, and how the agent copes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hostler import errors
from hostler.agent import buslink, files
from hostler.agent.fencing import Fence
from hostler.agent.files import DirectoryLock
from tests.harness.contexts import attempt_of


def test_bad_bytes_in_the_journal_stop_no_agent(tmp_path: Path) -> None:
    journal = tmp_path / "attempts.log"
    journal.write_bytes(b"a 3\n\xff\xfe\x00 7\nb 2\nc \xd9\xa3\nd 4")
    fence = Fence(journal)
    for operation, attempt in (("a", 2), ("b", 1), ("d", 3)):
        with pytest.raises(errors.StaleAttempt):
            fence.admit(attempt_of(operation, attempt))
    assert (tmp_path / "attempts.log.damaged").read_bytes().startswith(b"a 3\n\xff")
    assert journal.read_text().splitlines() == ["a 3", "b 2", "d 4"]


def test_a_full_disk_leaves_no_half_line_and_stops_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, write = tmp_path / "attempts.log", os.write
    fence = Fence(journal)
    fence.admit(attempt_of("a", 1))
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    fence.admit(attempt_of("b", 5))
    assert journal.read_text() == "a 1\n"
    monkeypatch.undo()
    fence.admit(attempt_of("c", 1))
    with pytest.raises(errors.StaleAttempt):
        Fence(journal).admit(attempt_of("b", 4))


def test_every_kept_file_is_on_the_medium_before_it_has_its_name(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files.write_atomically(tmp_path / "spec.json", b"{}")
    assert steps == ["file", "rename", "directory"]
    steps.clear()
    (tmp_path / "disk.part").write_bytes(b"x")
    files.publish(tmp_path / "disk.part", tmp_path / "disk")
    assert steps == ["file", "rename", "directory"]
    steps.clear()
    files.append_line(tmp_path / "journal", b"a 1\n")
    assert steps == ["file"]


def test_two_agents_never_share_a_state_directory(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    first.take()
    for attempt in (second.take, second.check):
        with pytest.raises(errors.AgentError, match=f"process {os.getpid()}"):
            attempt()
    first.release()
    second.check()
    second.take()
    second.release()


def test_reports_go_to_the_conductor_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two conductors, the broker dealing in turns, one of them hung: one report in two was lost."""
    link: buslink.BusLink[None] = buslink.BusLink("host1", "compute", "1", lambda bus: None, open_bus=lambda: None)
    turns, asked, hung = iter(["one", "two"] * 50), [], {"one"}

    def ask(conductor: str | None, timeout_s: float) -> dict[str, str]:
        asked.append(conductor)
        name = conductor or next(turns)
        if name in hung:
            raise errors.Silent(part="The conductor service")
        return {"conductor": name}

    monkeypatch.setattr(buslink, "EXPLORE_EVERY", 100)
    for _ in range(4):
        assert link.ask_until_answered(ask) == {"conductor": "two"}
    assert asked == [None, None, "two", "two", "two"]
    hung.clear()
    monkeypatch.setattr(buslink, "EXPLORE_EVERY", 1)
    for _ in range(2):
        link.ask_until_answered(ask)
    monkeypatch.setattr(buslink, "EXPLORE_EVERY", 100)
    hung.add(str(link.answering))
    asked.clear()
    link.ask_until_answered(ask)
    assert None not in asked and len(asked) == 2, "the other one is known and asked by name"
    with pytest.raises(errors.BrokerSilent):
        link.ask_until_answered(_broker_is_away)


def _broker_is_away(_conductor: str | None, _timeout_s: float) -> dict[str, str]:
    raise errors.BrokerSilent()
