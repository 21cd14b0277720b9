"""The guest's own scripts, run here by the same busybox that runs them there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hostler.images.tiny import rootfs

pytestmark = pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox (busybox-static) is not installed")


def _flatten(tmp_path: Path, document: Any) -> dict[str, str]:
    script, data = tmp_path / "tiny-json", tmp_path / "data.json"
    script.write_bytes(rootfs.overlay_files()["bin/tiny-json"])
    data.write_text(document if isinstance(document, str) else json.dumps(document))
    done = subprocess.run(["busybox", "awk", "-f", script, data], capture_output=True, check=True, text=True)
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


def test_json_is_flattened(tmp_path: Path) -> None:
    found = _flatten(tmp_path, {"hostname": "web-1", "keys": [{"type": "ssh", "data": "ssh-rsa AAA x\n"}], "n": 3,
                                "meta": {}, "none": None, "deep": {"a": [1, [2, {"b": "c"}]]}})
    assert found == {"hostname": "web-1", "keys.0.type": "ssh", "keys.0.data": "ssh-rsa AAA x\\n", "n": "3",
                     "none": "null", "deep.a.0": "1", "deep.a.1.0": "2", "deep.a.1.1.b": "c"}


def test_json_quotes_and_backslashes(tmp_path: Path) -> None:
    found = _flatten(tmp_path, {'a "b"': 'say "hi" /\\ {"x": [1]}', "after": "here"})
    assert found == {'a "b"': 'say "hi" /\\ {"x": [1]}', "after": "here"}


def test_json_that_is_none_fails(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        _flatten(tmp_path, "<html>no</html>")


@pytest.mark.parametrize("path", sorted(path for path, data in rootfs.overlay_files().items()
                                        if data.startswith(b"#!/bin/sh")))
def test_every_script_parses(path: str) -> None:
    subprocess.run(["busybox", "sh", "-n"], input=rootfs.overlay_files()[path], check=True)
