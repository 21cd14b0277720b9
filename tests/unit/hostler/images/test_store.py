"""The store: bytes in, bytes out, and never a file without a reason or a reason without its file."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import pytest
from oslo_config import cfg

from hostler import errors
from hostler.identity import keys
from hostler.images.hashing import Content
from hostler.images.store import ImageStore


def _yes(_sha256: str) -> bool:
    return True


def _no(_sha256: str) -> bool:
    return False


def _keep(content: Content) -> Content:
    return content


def _files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_content_is_found_under_its_digest(store: ImageStore, tmp_path: Path) -> None:
    """Given blocks of odd sizes, when they are received, then digests, size and bytes are right and all is tidy."""
    data = os.urandom(3_000_001)
    blocks = [data[:1], data[1:70_000], data[70_000:2_000_000], b"", data[2_000_000:]]

    content = store.receive(blocks, _keep, _yes)

    assert content == Content(md5=hashlib.md5(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest(),
                              sha512=hashlib.sha512(data).hexdigest(), size_bytes=len(data))
    assert store.open(content.sha256).read() == data
    assert _files(tmp_path / "images") == [store.path_of(content.sha256)]


def test_the_record_is_written_while_the_file_is_there(store: ImageStore) -> None:
    """Given content, when its record is written, then the file is in place already."""
    assert store.receive([b"abc"], lambda content: store.has(content.sha256), _yes)


def test_identical_content_is_kept_once(store: ImageStore, tmp_path: Path) -> None:
    """Given content that is there, when it is received again, then the same file stays."""
    first = store.receive([b"same"], _keep, _yes)
    inode = store.path_of(first.sha256).stat().st_ino

    store.receive([b"sa", b"me"], _keep, _yes)

    assert store.path_of(first.sha256).stat().st_ino == inode
    assert len(_files(tmp_path / "images")) == 1


def test_a_file_cut_short_is_replaced(store: ImageStore) -> None:
    """Given a file that a failing disk shortened, when its content comes again, then it is whole."""
    content = store.receive([b"whole"], _keep, _yes)
    store.path_of(content.sha256).write_bytes(b"who")

    store.receive([b"whole"], _keep, _yes)

    assert store.open(content.sha256).read() == b"whole"


def test_a_broken_upload_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    """Given blocks that break off, when they are received, then the error comes out and no file is left."""

    def blocks() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise errors.Invalid(reason="broken")

    with pytest.raises(errors.Invalid):
        store.receive(blocks(), _keep, _yes)
    assert _files(tmp_path / "images") == []


@pytest.mark.parametrize("referenced", [True, False])
def test_a_failed_record_takes_its_file_along_unless_another_needs_it(store: ImageStore, referenced: bool) -> None:
    """Given a record that cannot be written, when content is received, then it stays only if it is referred to."""
    sha256 = hashlib.sha256(b"data").hexdigest()

    def fail(_content: Content) -> None:
        raise errors.Conflict(reason="gone")

    with pytest.raises(errors.Conflict):
        store.receive([b"data"], fail, lambda _sha256: referenced)
    assert store.has(sha256) is referenced


def test_too_much_data_is_refused(store: ImageStore) -> None:
    """Given a limit, when more comes, then TooLarge is raised."""
    store.max_bytes = 10
    with pytest.raises(errors.TooLarge):
        store.receive([b"12345", b"678901"], _keep, _yes)


def test_a_removal_and_an_upload_of_the_same_content_agree(store: ImageStore) -> None:
    """Given records made and removed by many threads, when all is done, then the file is there iff a record is."""
    records: set[int] = set()
    guard = threading.Lock()
    sha256 = hashlib.sha256(b"contended").hexdigest()

    def referenced(_sha256: str) -> bool:
        with guard:
            return bool(records)

    def come_and_go(number: int) -> None:
        for _ in range(20):
            def record(_content: Content) -> None:
                with guard:
                    records.add(number)
            store.receive([b"contended"], record, referenced)
            assert store.has(sha256)
            with guard:
                records.discard(number)
            store.remove(sha256, referenced)

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert not store.has(sha256)


def test_names_that_are_no_digest_reach_no_file(store: ImageStore) -> None:
    """Given a name that climbs out of the store, when it is asked for, then it is not found."""
    for name in ("../../etc/passwd", "", "A" * 64, "0" * 63):
        with pytest.raises(errors.NotFound):
            store.path_of(name)


def test_a_sweep_takes_only_what_is_left_over(store: ImageStore, tmp_path: Path) -> None:
    """Given leftovers and things in use, all old, when the store is swept, then the things in use stay."""
    kept = store.receive([b"kept"], _keep, _yes)
    lost = store.receive([b"lost"], _keep, _yes)
    store.stage("in-use", [b"1"])
    store.stage("left", [b"2"])
    dead = tmp_path / "images" / "incoming" / "dead"
    dead.write_bytes(b"partial")
    for path in _files(tmp_path / "images"):
        os.utime(path, (0, 0))
    seen: list[list[Path]] = []

    def blocks() -> Iterator[bytes]:  # an upload is under way while the sweep runs
        yield b"more"
        for path in (tmp_path / "images" / "incoming").iterdir():
            os.utime(path, (0, 0))
        for dry_run in (True, False):
            seen.append(store.sweep(lambda sha256: sha256 == kept.sha256, lambda image: image == "in-use",
                                    dry_run=dry_run))

    content = store.receive(blocks(), _keep, _yes)

    expected = {dead, tmp_path / "images" / "staging" / "left", store.path_of(lost.sha256)}
    assert [set(paths) for paths in seen] == [expected, expected]
    assert store.has(kept.sha256) and store.has(content.sha256) and store.has_staged("in-use")
    assert not any(path.exists() for path in expected)


def test_a_sweep_leaves_young_files(store: ImageStore) -> None:
    """Given content just received, when its record is not there yet, then a sweep does not take it."""
    content = store.receive([b"young"], _keep, _yes)
    assert store.sweep(_no, _no) == []
    assert store.has(content.sha256)


def _signed(url: str) -> tuple[str, int, str]:
    path, _, query = url.partition("?")
    values = dict(term.split("=") for term in query.split("&"))
    return path.rpartition("/")[2], int(values["expires"]), values["signature"]


def test_another_process_verifies_a_signature_also_after_a_rotation(store: ImageStore, conf: cfg.ConfigOpts) -> None:
    """Given a signed path, when the keys rotate, then another process of the cloud still accepts it."""
    digest = "ab" * 32
    url = store.signed_url(digest, int(time.time()) + 60)
    keys.rotate(keys.directory_of(conf), max_active=3)
    assert url.startswith(f"/image/blobs/{digest}?")
    ImageStore(conf).verify(*_signed(url))


def test_changed_or_expired_signatures_are_refused(store: ImageStore) -> None:
    """Given a signed path, when any part of it differs or its time is over, then it is forbidden."""
    now = int(time.time())
    digest, expires_at, signature = _signed(store.signed_url("ab" * 32, now + 60))
    wrong = [("cd" * 32, expires_at, signature), (digest, expires_at + 1, signature),
             (digest, expires_at, signature[:-1] + "é"), _signed(store.signed_url(digest, now - 1))]
    for values in wrong:
        with pytest.raises(errors.Forbidden):
            store.verify(*values)


def test_without_keys_nothing_is_signed(conf: cfg.ConfigOpts) -> None:
    """Given a cloud without keys, when a path is to be signed, then Unavailable is raised."""
    with pytest.raises(errors.Unavailable):
        ImageStore(conf).signed_url("ab" * 32, 0)
