"""The backup store: what is stored, what comes back, and what a crash or a bad disk may do to it."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import BackupSpec
from volume.backups import blocks
from volume.backups.copying import read_backup, write_backup
from volume.backups.store import BackupStore, Manifest

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    return BackupStore(tmp_path / "store", tmp_path / "memory")


def calm(_percent: int) -> None:
    """Want everything."""


def make_raw(path: Path, size_mib: int, **written: bytes) -> Path:
    """Write a sparse file: `at<MiB>` says what begins where."""
    with path.open("wb") as file:
        file.truncate(size_mib * MIB)
        for where, content in written.items():
            file.seek(int(where.removeprefix("at")) * MIB)
            file.write(content)
    return path


def noise(seed: int, size: int = MIB) -> bytes:
    return random.Random(seed).randbytes(size)


def spec(*chain: BackupSpec) -> BackupSpec:
    return BackupSpec(id=ids.new_id(), store="s", volume_id="v", size_gib=1, chain=tuple(item.id for item in chain))


def restore(store: BackupStore, backup: BackupSpec, directory: Path) -> bytes:
    path = directory / f"out-{os.urandom(4).hex()}"
    size = read_backup(store, backup.id, path, calm)
    data = path.read_bytes()
    assert len(data) == size
    return data


def test_holes_are_skipped_and_text_is_compressed(store: BackupStore, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", 64, at3=b"text " * 100_000, at10=bytes(MIB), at40=noise(1))
    made = write_backup(store, spec(), raw, calm)
    assert MIB < made.stored_bytes < MIB + 20_000
    assert made.object_count == 1 and made.size_bytes == 64 * MIB
    index = (store.path(made.id) / "index").read_bytes()
    assert len(index) == 64 * blocks.RECORD_BYTES
    assert hashlib.sha256(index).hexdigest() == made.index_sha256


def test_a_chain_gives_back_every_state(store: BackupStore, tmp_path: Path) -> None:
    states = [
        make_raw(tmp_path / "0", 8, at0=noise(0), at5=noise(5)),
        make_raw(tmp_path / "1", 8, at0=noise(0), at5=noise(6)),  # changed
        make_raw(tmp_path / "2", 10, at0=noise(0), at5=noise(5), at9=noise(9)),  # changed back, and grown
        make_raw(tmp_path / "3", 10, at9=noise(9)),  # emptied
    ]
    chain: list[BackupSpec] = []
    made: list[Manifest] = []
    for raw in states:
        backup = spec(*chain)
        made.append(write_backup(store, backup, raw, calm))
        chain.append(backup)
    assert [item.object_count for item in made] == [1, 1, 1, 0]
    assert [round(item.stored_bytes / MIB) for item in made] == [2, 1, 2, 0]
    for backup, raw in zip(chain, states, strict=True):
        assert restore(store, backup, tmp_path) == raw.read_bytes()


def test_many_blocks_take_several_objects(store: BackupStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "OBJECT_BYTES", 3 * MIB)
    raw = make_raw(tmp_path / "raw", 10, at0=noise(1, 10 * MIB - 5))
    backup = spec()
    assert write_backup(store, backup, raw, calm).object_count == 4
    assert restore(store, backup, tmp_path) == raw.read_bytes()


def test_a_repeat_finds_it_done(store: BackupStore, tmp_path: Path) -> None:
    backup = spec()
    first = write_backup(store, backup, make_raw(tmp_path / "raw", 2, at0=b"x"), calm)
    assert write_backup(store, backup, make_raw(tmp_path / "raw", 2, at0=b"later"), calm) == first


def test_cut_short_it_is_not_there_and_leaves_nothing(store: BackupStore, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", 4, at0=noise(1, 4 * MIB))

    def unwanted(percent: int) -> None:
        if percent >= 50:
            raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

    with pytest.raises(errors.StaleAttempt):
        write_backup(store, spec(), raw, unwanted)
    assert store.ids() == []


def test_killed_in_the_middle_it_is_seen_begun_anew_and_removed(store: BackupStore, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", 4, at0=noise(1, 4 * MIB))
    backup = spec()
    store.identity()
    child = os.fork()
    if not child:
        write_backup(store, backup, raw, lambda percent: os._exit(9) if percent >= 50 else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert store.ids() == [backup.id] and not store.has(backup.id)
    with pytest.raises(errors.AgentError, match="not in this node's"):
        read_backup(store, backup.id, tmp_path / "out", calm)
    write_backup(store, backup, raw, calm)
    assert restore(store, backup, tmp_path) == raw.read_bytes()
    assert sorted(path.name for path in tmp_path.joinpath("store").glob(f"{backup.id}*")) == [backup.id]
    part = store.begin(other := ids.new_id())
    (part / "00000000.blocks").write_bytes(b"x")
    store.delete(other)
    assert store.ids() == [backup.id]


def test_another_nodes_late_writer_cannot_finish(store: BackupStore, tmp_path: Path) -> None:
    backup = spec()
    late = store.begin(backup.id)
    made = write_backup(store, backup, make_raw(tmp_path / "raw", 1, at0=b"x"), calm)
    with pytest.raises(OSError):
        store.finish(late, made)
    assert store.manifest(backup.id) == made


def test_what_others_build_on_stays(store: BackupStore, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", 2, at0=b"x")
    full = spec()
    child = spec(full)
    write_backup(store, full, raw, calm)
    write_backup(store, child, raw, calm)
    with pytest.raises(errors.AgentError, match=child.id):
        store.delete(full.id)
    for backup in (child, full, full):
        store.delete(backup.id)
    assert store.ids() == []


def test_a_wrong_parent_is_refused(store: BackupStore, tmp_path: Path) -> None:
    raw = make_raw(tmp_path / "raw", 2, at0=b"x")
    full = spec()
    write_backup(store, full, raw, calm)
    with pytest.raises(errors.AgentError, match="built on"):
        write_backup(store, spec(spec(), full), raw, calm)
    with pytest.raises(errors.AgentError, match="not in this node's"):
        write_backup(store, spec(spec()), raw, calm)
    assert store.ids() == [full.id]


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_block_is_noticed(store: BackupStore, tmp_path: Path, damage: str) -> None:
    full = spec()
    write_backup(store, full, make_raw(tmp_path / "raw", 2, at0=noise(1)), calm)
    child = spec(full)
    write_backup(store, child, make_raw(tmp_path / "raw", 2, at0=noise(1), at1=b"x"), calm)
    path = blocks.object_path(store.path(full.id), 0)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    if damage == "lose":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[:5000])
    with pytest.raises(errors.AgentError, match=f"block of backup {full.id} is missing or damaged"):
        read_backup(store, child.id, tmp_path / "out", calm)


def test_a_damaged_index_or_manifest_is_noticed(store: BackupStore, tmp_path: Path) -> None:
    full = spec()
    write_backup(store, full, make_raw(tmp_path / "raw", 2, at0=b"x"), calm)
    index, manifest = store.path(full.id) / "index", store.path(full.id) / "manifest.json"
    good = index.read_bytes()
    index.write_bytes(good[:-1] + b"\1")
    with pytest.raises(errors.AgentError, match="index"):
        read_backup(store, full.id, tmp_path / "out1", calm)
    index.unlink()
    with pytest.raises(errors.AgentError, match="index"):
        read_backup(store, full.id, tmp_path / "out2", calm)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}))
    with pytest.raises(errors.AgentError, match="format"):
        store.manifest(full.id)
    manifest.write_text("{")
    with pytest.raises(errors.AgentError, match="damaged"):
        store.manifest(full.id)


def test_nodes_that_share_a_directory_say_the_same(tmp_path: Path) -> None:
    one, two = (BackupStore(tmp_path / "shared", tmp_path / node) for node in ("one", "two"))
    assert one.identity() == two.identity() == BackupStore(tmp_path / "shared", tmp_path / "three").identity()
    assert BackupStore(tmp_path / "other", tmp_path / "four").identity() != one.identity()


def test_a_store_whose_mount_is_gone_is_not_taken_for_an_empty_one(store: BackupStore, tmp_path: Path) -> None:
    backup = spec()
    write_backup(store, backup, make_raw(tmp_path / "raw", 1, at0=b"x"), calm)
    identity = store.identity()
    (tmp_path / "store").rename(tmp_path / "unmounted")
    (tmp_path / "store").mkdir()
    again = BackupStore(tmp_path / "store", tmp_path / "memory")
    assert again.identity() is None
    for act in (lambda: store.delete(backup.id), lambda: store.begin(ids.new_id()), lambda: store.manifest(backup.id)):
        with pytest.raises(errors.AgentError, match="cannot be used"):
            act()
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store").rmdir()
    (tmp_path / "unmounted").rename(tmp_path / "store")
    assert again.identity() == store.identity() == identity and again.has(backup.id)


def test_another_store_in_the_same_place_is_another(store: BackupStore, tmp_path: Path) -> None:
    first = store.identity()
    other = BackupStore(tmp_path / "elsewhere", tmp_path / "memory2").identity()
    (tmp_path / "store").rename(tmp_path / "old")
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert BackupStore(tmp_path / "store", tmp_path / "memory").identity() == other != first


def test_a_directory_that_cannot_be_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = BackupStore(tmp_path / "file" / "below", tmp_path / "memory")
    assert store.identity() is None and store.ids() == []
    with pytest.raises(errors.AgentError, match="cannot be used"):
        store.begin(ids.new_id())
