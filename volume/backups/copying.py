"""Writing a disk's content into the store, and reading it back through the chain of backups it builds on."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import BinaryIO

from hostler import errors
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import BackupSpec
from volume.backups.blocks import (
    BLOCK_BYTES,
    HOLE,
    BlockReader,
    BlockWriter,
    Record,
    content_blocks,
    pack,
    read_records,
    verify_index,
)
from volume.backups.store import INDEX, BackupStore, Manifest

LOG = logging.getLogger(__name__)
_THREADS = min(4, os.cpu_count() or 1)
Prepared = Record | tuple[bytes, bytes]


def write_backup(store: BackupStore, backup: BackupSpec, raw: Path, progress: Progress) -> Manifest:
    """Store the content of a raw disk file as `backup`; one that is whole already is left as it is.

    An incremental one stores the blocks that differ from the last backup of its chain. Raises AgentError, and what
    `progress` raises, leaving nothing behind.
    """
    if store.has(backup.id):
        return store.manifest(backup.id)
    part = store.begin(backup.id)
    try:
        manifest = _write(store, backup, raw, part, progress)
        store.finish(part, manifest)
    except BaseException:
        store.abandon(part)
        raise
    LOG.info("Backup %s: %d bytes of volume %s stored", backup.id, manifest.stored_bytes, backup.volume_id)
    return manifest


def read_backup(store: BackupStore, backup_id: str, raw: Path, progress: Progress) -> int:
    """Write a backup's content into a new sparse raw file, each block checked; returns its size in bytes."""
    manifest = store.manifest(backup_id)
    chain = [*manifest.chain, backup_id]
    verify_index(store.path(backup_id) / INDEX, manifest.index_sha256, backup_id)
    reader = BlockReader([store.path(other) for other in chain], chain)
    try:
        with raw.open("xb") as target, (store.path(backup_id) / INDEX).open("rb") as index:
            target.truncate(manifest.size_bytes)
            for number, record in enumerate(read_records(index)):
                start = number * manifest.block_bytes
                progress(start * 100 // manifest.size_bytes)
                if record.length:
                    length = min(manifest.block_bytes, manifest.size_bytes - start)
                    os.pwrite(target.fileno(), reader.get(record, length), start)
    finally:
        reader.close()
    return manifest.size_bytes


def _write(store: BackupStore, backup: BackupSpec, raw: Path, part: Path, progress: Progress) -> Manifest:
    size_bytes = raw.stat().st_size
    writer = BlockWriter(part, position=len(backup.chain))
    digest = hashlib.sha256()
    try:
        with raw.open("rb") as source, (part / INDEX).open("xb") as index:
            for number, block in enumerate(_prepared(source, size_bytes, _former_records(store, backup))):
                progress(number * BLOCK_BYTES * 100 // size_bytes)
                record = block if isinstance(block, Record) else writer.add(*block)
                digest.update(record.pack())
                index.write(record.pack())
    finally:
        writer.close()
    return Manifest(id=backup.id, volume_id=backup.volume_id, size_bytes=size_bytes, block_bytes=BLOCK_BYTES,
                    chain=backup.chain, index_sha256=digest.hexdigest(), stored_bytes=writer.stored_bytes,
                    object_count=writer.object_count)


def _prepared(source: BinaryIO, size_bytes: int, former: Iterator[Record]) -> Iterator[Prepared]:
    """Yield the blocks of a raw disk in order: the record of what need not be stored, else packed content and digest.

    Digests and compression, most of a backup's cost, are made by several threads, a few blocks ahead.
    """
    ahead: deque[Record | futures.Future[Prepared]] = deque()
    with futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as pool:
        try:
            for block, before in zip(content_blocks(source, size_bytes), former, strict=False):
                ahead.append(HOLE if block is None else pool.submit(_prepare, block, before))
                if len(ahead) > 2 * _THREADS:
                    yield _settled(ahead.popleft())
            while ahead:
                yield _settled(ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _settled(item: Record | futures.Future[Prepared]) -> Prepared:
    return item if isinstance(item, Record) else item.result()


def _prepare(block: bytes, before: Record) -> Prepared:
    sha256 = hashlib.sha256(block).digest()
    return before if before.length and before.sha256 == sha256 else (pack(block), sha256)


def _former_records(store: BackupStore, backup: BackupSpec) -> Iterator[Record]:
    """Yield the parent's records, then holes for ever (a full backup has no parent; a volume may have grown)."""
    if backup.chain:
        parent = store.manifest(backup.chain[-1])
        if parent.chain != backup.chain[:-1] or parent.block_bytes != BLOCK_BYTES:
            raise errors.AgentError(reason=f"Backup {parent.id} cannot be built on: it is not what was expected.")
        path = store.path(parent.id) / INDEX
        verify_index(path, parent.index_sha256, parent.id)
        with path.open("rb") as index:
            yield from read_records(index)
    yield from itertools.repeat(HOLE)
