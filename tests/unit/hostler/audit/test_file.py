"""The audit file: private, only growing, and renamed under its writer."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hostler.audit.file import AuditFile


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_its_owners_alone_and_only_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"before\n")
    path.chmod(0o644)
    for writer in (AuditFile(path), AuditFile(path)):
        writer.append(b"one\n")
    assert path.read_bytes() == b"before\none\none\n"
    assert mode_of(path) == 0o600


def test_a_renamed_file_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    writer = AuditFile(path)
    writer.append(b"one\n")
    path.rename(tmp_path / "audit.log.1")
    writer.append(b"two\n")
    path.unlink()
    writer.append(b"three\n")
    assert (tmp_path / "audit.log.1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"three\n"
    assert mode_of(path) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        AuditFile(tmp_path / "audit.log").append(b"one\n")
