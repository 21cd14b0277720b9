#!/usr/bin/env python3
"""Writes requirements/*.txt: the releases that quickstart, tests and chaos install, with the hashes of their files.

    python3.11 tools/lock.py

pip resolves everything at once, for the Python that runs this, in a temporary virtual environment; its reports name
each file's SHA-256. The same releases are then looked up for the Pythons and processors of TARGETS, and each
file of USES gets its part. Nothing is installed; which index pip asks is its own configuration.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LISTS: Final = ROOT / "requirements"
BUILD: Final = ("setuptools>=68", "wheel")
# File → what is installed from it.
USES: Final = {
    "cloud": (f"{ROOT}[libvirt,client]", *BUILD),
    "tests": (f"{ROOT}[libvirt,test,types]", *BUILD),
    "tox": ("tox>=4.20,<5",),
    "lint": ("ruff>=0.9",),
    "docs": ("mkdocs>=1.6",),
}
TARGETS: Final = (("3.11", "x86_64"), ("3.12", "x86_64"), ("3.11", "aarch64"), ("3.12", "aarch64"))
# What is built on the machine has one source file, whatever the target.
SOURCE_ONLY: Final = frozenset({"libvirt-python"})
HEAD: Final = """\
# Written by tools/lock.py, not by hand: releases and the SHA-256 of their files. Resolved on CPython {python};
# files for Linux with glibc: {targets}.
"""


def main() -> None:
    """Resolve, look up, write."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        venv.create(home / "venv", with_pip=True)
        hashes: defaultdict[str, set[str]] = defaultdict(set)
        for item in _report(home, [word for words in USES.values() for word in words]):
            hashes[_pin(item)].add(_digest(item))
        pins = home / "pins.txt"
        pins.write_text("\n".join(hashes))
        parts = {use: [_pin(item) for item in _report(home, ["--constraint", str(pins), *words])]
                 for use, words in USES.items()}
        wheels = [pin for pin in hashes if pin.partition("==")[0] not in SOURCE_ONLY]
        for python, processor in TARGETS:
            for item in _report(home, [*_only_for(home, python, processor), *wheels]):
                hashes[_pin(item)].add(_digest(item))
        write(parts, hashes)


def write(parts: dict[str, list[str]], hashes: defaultdict[str, set[str]]) -> None:
    """Write a file for each use."""
    LISTS.mkdir(exist_ok=True)
    head = HEAD.format(python=".".join(map(str, sys.version_info[:2])), targets=", ".join(
        f"{processor} with {python}" for python, processor in TARGETS))
    for use, pins in parts.items():
        (LISTS / f"{use}.txt").write_text(head + "".join(
            " \\\n".join([pin, *(f"    --hash=sha256:{digest}" for digest in sorted(hashes[pin]))]) + "\n"
            for pin in sorted(set(pins))))
        print(f"requirements/{use}.txt: {len(pins)} releases")


def _only_for(home: Path, python: str, processor: str) -> list[str]:
    """Return pip's words for the wheels that another Python takes on a glibc of Debian 12 (2.36) or later."""
    platforms = [*(f"manylinux_2_{minor}_{processor}" for minor in range(36, 4, -1)),
                 *(f"manylinux{old}_{processor}" for old in ("2014", "2010", "1")), f"linux_{processor}"]
    return ["--no-deps", "--only-binary", ":all:", "--target", str(home / "unused"), "--python-version", python,
            *(word for name in platforms for word in ("--platform", name))]


def _report(home: Path, words: list[str]) -> list[Any]:
    """Return what pip would install, without the project itself."""
    report = home / "report.json"
    subprocess.run([str(home / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--dry-run",
                    "--ignore-installed", "--report", str(report), *words], check=True)
    return [item for item in json.loads(report.read_text())["install"] if "archive_info" in item["download_info"]]


def _pin(item: Any) -> str:
    name = item["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
    return f"{name}=={item['metadata']['version']}"


def _digest(item: Any) -> str:
    return str(item["download_info"]["archive_info"]["hashes"]["sha256"])


if __name__ == "__main__":
    main()
