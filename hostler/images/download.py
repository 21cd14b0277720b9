"""An image's bytes over HTTP, past interruptions: an api that restarts or fails over costs a download only time.

What came is kept; the rest is asked for by range. The checksum is the caller's to verify.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import requests

LOG = logging.getLogger(__name__)
CHUNK = 1024 * 1024
HTTP_TIMEOUT_S = (10, 60)  # to connect, and between two reads
PATIENCE_S = 120.0  # without a byte
PAUSE_S = (0.2, 5.0)  # first and longest pause between two tries
# What a server, or the proxy before it, says while it cannot serve.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_PAST_THE_END = 416


def blocks(url: str, *, patience_s: float = PATIENCE_S) -> Iterator[bytes]:
    """Yield the content at `url` once; raises requests.RequestException when nothing comes for `patience_s`."""
    received = 0
    deadline = time.monotonic() + patience_s
    pause_s, longest_s = PAUSE_S
    while True:
        try:
            for block in _rest(url, received):
                received += len(block)
                deadline, pause_s = time.monotonic() + patience_s, PAUSE_S[0]
                yield block
            return
        except requests.RequestException as error:
            if not _passes(error) or time.monotonic() >= deadline:
                raise
            LOG.warning("A download was interrupted after %d bytes and goes on: %s", received, error)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, longest_s)


def _rest(url: str, received: int) -> Iterator[bytes]:
    headers = {"Accept-Encoding": "identity"}
    if received:
        headers["Range"] = f"bytes={received}-"
    with requests.get(url, headers=headers, stream=True, timeout=HTTP_TIMEOUT_S) as response:
        if received and response.status_code == _PAST_THE_END:
            return  # the interruption came after the last byte
        response.raise_for_status()
        skip = received if response.status_code == requests.codes.ok else 0  # a server that knows no ranges
        for block in response.iter_content(CHUNK):
            kept = block[skip:]
            skip -= len(block) - len(kept)
            if kept:
                yield kept


def _passes(error: requests.RequestException) -> bool:
    """Return whether trying again may help."""
    return error.response is None or error.response.status_code in _PASSING
