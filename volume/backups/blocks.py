"""A backup's blocks: how they are stored, found and verified.

The index has one record of fixed size for each block of the volume, in order: the SHA-256 of the content, and where it
is: which backup of the chain (position, the backup itself last), which object file, offset and length. A block of
zeros is stored nowhere: its record is all zeros. A stored block is compressed unless that made it no smaller.

An incremental backup copies the records of unchanged blocks from its parent's index, so the newest index says where
everything is, and a long chain costs nothing at a restore.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hostler import errors

BLOCK_BYTES = 1 << 20
OBJECT_BYTES = 64 << 20  # a new object file is begun past this
_RECORD = struct.Struct(">32sHIII")
RECORD_BYTES = _RECORD.size
_LEVEL = 1  # volumes are large; more costs much time and wins little


@dataclasses.dataclass(frozen=True)
class Record:
    """Where one block is. `length` 0 is a block of zeros."""

    sha256: bytes
    position: int
    number: int
    offset: int
    length: int

    def pack(self) -> bytes:
        """Return the record as the index holds it."""
        return _RECORD.pack(self.sha256, self.position, self.number, self.offset, self.length)


HOLE = Record(bytes(32), 0, 0, 0, 0)


def read_records(index: BinaryIO) -> Iterator[Record]:
    """Yield the records of an index from where it stands."""
    while block := index.read(RECORD_BYTES * 4096):
        for values in _RECORD.iter_unpack(block):
            yield Record(*values)


def object_path(directory: Path, number: int) -> Path:
    """Return the path of an object file."""
    return directory / f"{number:08d}.blocks"


def verify_index(path: Path, sha256: str, backup_id: str) -> None:
    """Raise AgentError unless the index matches its manifest's checksum."""
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        found = ""
    if found != sha256:
        raise errors.AgentError(reason=f"The index of backup {backup_id} is damaged.")


def content_blocks(raw: BinaryIO, size_bytes: int) -> Iterator[bytes | None]:
    """Yield the blocks of a raw disk file; None stands for zeros, and holes of the file are not even read."""
    descriptor, known_data_until, hole_until = raw.fileno(), 0, 0
    for start in range(0, size_bytes, BLOCK_BYTES):
        end = min(start + BLOCK_BYTES, size_bytes)
        if start >= max(known_data_until, hole_until):
            try:
                hole_until = os.lseek(descriptor, start, os.SEEK_DATA)
                known_data_until = os.lseek(descriptor, hole_until, os.SEEK_HOLE)
            except OSError:  # ENXIO: nothing but a hole up to the end
                hole_until = size_bytes
        if end <= hole_until:
            yield None
            continue
        block = os.pread(descriptor, end - start, start)
        yield None if block.count(0) == len(block) else block


def pack(block: bytes) -> bytes:
    """Return a block as it is stored: compressed, or as it is when that is no longer."""
    packed = zlib.compress(block, _LEVEL)
    return packed if len(packed) < len(block) else block


class BlockWriter:
    """Appends blocks to object files of one backup."""

    def __init__(self, directory: Path, position: int) -> None:
        self._directory = directory
        self._position = position
        self._file: BinaryIO | None = None
        self._offset = 0
        self.object_count = 0
        self.stored_bytes = 0

    def add(self, packed: bytes, sha256: bytes) -> Record:
        """Store a packed block; returns where."""
        if self._file is None or self._offset + len(packed) > OBJECT_BYTES:
            self.close()
            self._file = object_path(self._directory, self.object_count).open("xb")
            self.object_count += 1
            self._offset = 0
        self._file.write(packed)
        record = Record(sha256, self._position, self.object_count - 1, self._offset, len(packed))
        self._offset += len(packed)
        self.stored_bytes += len(packed)
        return record

    def close(self) -> None:
        """End the present object file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class BlockReader:
    """Fetches blocks out of a chain of backups' directories and checks them."""

    def __init__(self, directories: list[Path], ids: list[str]) -> None:
        self._directories = directories
        self._ids = ids
        self._open: dict[int, tuple[int, BinaryIO]] = {}  # position in the chain → number and file last used

    def get(self, record: Record, length: int) -> bytes:
        """Return a block of `length` bytes; raises AgentError when it is damaged or missing."""
        try:
            packed = os.pread(self._file(record).fileno(), record.length, record.offset)
            block = packed if len(packed) == length else zlib.decompress(packed)
        except (OSError, IndexError, zlib.error) as error:
            raise self._damage(record) from error
        if len(block) != length or hashlib.sha256(block).digest() != record.sha256:
            raise self._damage(record)
        return block

    def close(self) -> None:
        """Close the files."""
        for _, file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, record: Record) -> BinaryIO:
        number, file = self._open.get(record.position, (-1, None))
        if file is None or number != record.number:
            if file is not None:
                file.close()
            file = object_path(self._directories[record.position], record.number).open("rb")
            self._open[record.position] = (record.number, file)
        return file

    def _damage(self, record: Record) -> errors.AgentError:
        known = record.position < len(self._ids)
        name = self._ids[record.position] if known else "unknown"
        return errors.AgentError(reason=f"A block of backup {name} is missing or damaged.")
