"""The key directory: keys appear whole and private, and a rotation never leaves a token behind too early."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from hostler import errors
from hostler.identity import keys
from hostler.identity.keys import KeyRing


def _numbers(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    assert keys.ensure(directory)
    first = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert not keys.ensure(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == first
    assert _numbers(directory) == [0, 1]
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_many_processes_may_begin_at_once(tmp_path: Path) -> None:
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(keys.ensure(tmp_path / "keys"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_a_token_outlives_the_rotations_it_should(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    text = KeyRing(tmp_path).encrypt(b"x")
    assert keys.rotate(tmp_path, max_active=3) == 2
    assert _numbers(tmp_path) == [0, 1, 2]
    assert KeyRing(tmp_path).decrypt(text) == b"x"
    assert keys.rotate(tmp_path, max_active=3) == 3
    assert _numbers(tmp_path) == [0, 2, 3]
    assert KeyRing(tmp_path).decrypt(text) is None


def test_a_host_with_an_older_copy_reads_new_tokens(tmp_path: Path) -> None:
    keys.ensure(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    keys.rotate(tmp_path / "a", max_active=3)
    assert KeyRing(tmp_path / "b").decrypt(KeyRing(tmp_path / "a").encrypt(b"x")) == b"x"


def test_a_rotation_completes_what_a_crash_left(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    (tmp_path / "0").rename(tmp_path / "2")  # promoted, and then killed
    (tmp_path / ".0.new").write_bytes(b"half")
    assert KeyRing(tmp_path).encrypt(b"x")
    assert keys.rotate(tmp_path, max_active=3) == 3
    assert _numbers(tmp_path) == [0, 2, 3]
    assert not (tmp_path / ".0.new").exists()


def test_a_running_process_sees_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_LOOK_EVERY_S", 0.0)
    keys.ensure(tmp_path)
    ring = KeyRing(tmp_path)
    text = ring.encrypt(b"x")
    for _ in range(2):
        keys.rotate(tmp_path, max_active=3)
    assert ring.decrypt(text) is None
    assert ring.decrypt(KeyRing(tmp_path).encrypt(b"y")) == b"y"


def test_without_keys_the_service_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable):
        KeyRing(tmp_path / "nowhere").encrypt(b"x")


def test_a_malformed_key_does_not_hide_the_others(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    (tmp_path / "7").write_bytes(b"no key")
    ring = KeyRing(tmp_path)
    assert ring.decrypt(ring.encrypt(b"x")) == b"x"
