"""Bytes over HTTP: request bodies in blocks, content out in blocks, whole or by range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import falcon

from api.core.image.data import Blocks
from hostler import errors
from hostler.images.store import BLOCK_BYTES, ImageStore

# Servers build what they read of a chunked body by appending; small reads keep that cheap.
_CHUNKED_READ_BYTES = 65536
_SIZE_HEADER = "X-OpenStack-Image-Size"


class RequestBody:
    """An octet stream of a request, of known length or chunked, read in blocks of at most 1 MiB."""

    def __init__(self, request: falcon.Request) -> None:
        if (request.content_type or "").partition(";")[0].strip().lower() != "application/octet-stream":
            raise falcon.HTTPUnsupportedMediaType(description="Send application/octet-stream.")
        chunked = "chunked" in (request.get_header("Transfer-Encoding") or "").lower()
        self._stream = request.stream if chunked else request.bounded_stream
        self._read_bytes = _CHUNKED_READ_BYTES if chunked else BLOCK_BYTES
        self._length = None if chunked else request.content_length or 0
        announced = request.get_header(_SIZE_HEADER)
        if announced is not None and not announced.isdecimal():
            raise errors.InvalidField(field=_SIZE_HEADER, value=announced, reason="It must be a number of bytes.")
        self._announced = int(announced) if announced is not None else None

    @property
    def is_short(self) -> bool:
        """Whether the body's length is known and small, so that a refused one may as well be read to its end."""
        return self._length is not None and self._length <= BLOCK_BYTES

    def blocks(self) -> Blocks:
        """Return the body; its length is checked at the end, if the client announced one."""
        return Blocks(self._read(), self._length if self._announced is None else self._announced)

    def drain(self) -> None:
        """Read and discard the rest: a client reads the answer only once it has sent everything."""
        for _block in self._read():
            pass

    def _read(self) -> Iterator[bytes]:
        try:
            while pieces := list(self._pieces()):
                yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except (OSError, ValueError) as error:  # ValueError: a chunked body that breaks off
            raise errors.Invalid(reason="The data broke off before its end.") from error

    def _pieces(self) -> Iterator[bytes]:
        size = 0
        while size < BLOCK_BYTES and (piece := self._stream.read(self._read_bytes)):
            size += len(piece)
            yield piece


def send_content(request: falcon.Request, response: falcon.Response, store: ImageStore, sha256: str,
                 size_bytes: int) -> None:
    """Answer with content, or with the range of it that the request asks for."""
    first, last = _range(request, size_bytes)
    file = store.open(sha256)
    file.seek(first)
    length = last - first + 1
    response.content_type = "application/octet-stream"
    response.set_header("Accept-Ranges", "bytes")
    if request.range is not None:
        response.status = 206
        response.content_range = (first, last, size_bytes)
    response.content_length = length
    response.stream = _FileBlocks(file, length)


def _range(request: falcon.Request, size_bytes: int) -> tuple[int, int]:
    """Return first and last byte to send; raises falcon's 416 when the range is none, or has none of the content."""
    header = request.get_header("Range")
    if header is None:
        return 0, size_bytes - 1
    if "," in header:
        raise errors.InvalidField(field="Range", value=header[:80], reason="Ask for one range at a time.")
    try:
        first, last = request.range or (0, -1)
    except falcon.HTTPInvalidHeader:
        raise falcon.HTTPRangeNotSatisfiable(size_bytes) from None
    if request.range_unit != "bytes":
        raise falcon.HTTPRangeNotSatisfiable(size_bytes)
    if first < 0:
        first, last = max(size_bytes + first, 0), size_bytes - 1
    elif last < 0 or last >= size_bytes:
        last = size_bytes - 1
    if first > last or size_bytes == 0:
        raise falcon.HTTPRangeNotSatisfiable(size_bytes)
    return first, last


class _FileBlocks:
    """Part of an open file as blocks; the server closes it when the response is over."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> _FileBlocks:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(min(BLOCK_BYTES, self._left))
        if not block:
            raise StopIteration
        self._left -= len(block)
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
