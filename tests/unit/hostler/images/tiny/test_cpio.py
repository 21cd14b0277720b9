"""The archive is one that cpio's own reader accepts, and equal input gives equal bytes."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hostler.images.tiny import cpio

ENTRIES = {"etc": cpio.directory(), "etc/name": cpio.file(b"tiny\n"), "bin": cpio.link("usr/bin"),
           "dev": cpio.directory(), "dev/console": cpio.character_device(5, 1),
           "run.sh": cpio.file(b"#!/bin/sh\n", executable=True), "secret": cpio.file(b"x", private=True)}


def test_equal_input_gives_equal_bytes_in_any_order() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(dict(reversed(ENTRIES.items())))


def test_parents_come_before_children() -> None:
    data = cpio.archive({"a/b": cpio.file(b""), "a": cpio.directory()})
    assert data.index(b"a\0") < data.index(b"a/b\0")


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox (busybox-static) is not installed")
def test_a_reader_lists_what_was_written() -> None:
    listing = subprocess.run(["busybox", "cpio", "-tv"], input=cpio.archive(ENTRIES), capture_output=True, check=True)
    lines = {line.split()[-1]: line.split()[0] for line in listing.stdout.decode().splitlines()}
    assert lines["etc/name"] == "-rw-r--r--"
    assert lines["run.sh"] == "-rwxr-xr-x"
    assert lines["secret"] == "-rw-------"
    assert lines["dev/console"] == "crw-------"
    assert lines["usr/bin"] == "lrwxrwxrwx"
