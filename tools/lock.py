#!/usr/bin/env python3
"""Writes requirements/*.txt: the releases that quickstart, tests and chaos install, with the hashes of their files.

    python3.11 tools/lock.py             # what setup.cfg asks for now; releases that still fit stay
    python3.11 tools/lock.py --upgrade   # the newest releases that setup.cfg allows

uv resolves, in a temporary virtual environment; pip's resolver goes back through hundreds of releases of what the
clients ask for, and takes hours. All uses are resolved at once first, so that each release is the same in every file.
Nothing is installed. It asks PyPI, or the index in UV_DEFAULT_INDEX.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LISTS: Final = ROOT / "requirements"
# The oldest Python that is served. It needs all that later ones need.
PYTHON: Final = "3.11"
# File → the extras of setup.cfg that are installed from it (None: not Hostler itself), and what else.
USES: Final[dict[str, tuple[tuple[str, ...] | None, tuple[str, ...]]]] = {
    "cloud": (("libvirt", "client"), ("setuptools>=68", "wheel")),
    "tests": (("libvirt", "test", "types"), ("setuptools>=68", "wheel")),
    "tox": (None, ("tox>=4.20,<5",)),
    "lint": (None, ("ruff>=0.9",)),
    "docs": (None, ("mkdocs>=1.6",)),
}
HEAD: Final = """\
# Written by tools/lock.py, not by hand: releases and the SHA-256 of all their files, resolved for CPython {python} on
# Linux.
"""


def main() -> None:
    """Resolve all uses at once, then write a file for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases that setup.cfg allows")
    upgrade = parser.parse_args().upgrade
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        venv.create(home / "venv", with_pip=True)
        subprocess.run([home / "venv/bin/python", "-m", "pip", "install", "--quiet", "uv>=0.5"], check=True)
        pins = home / "pins.txt"
        # uv prefers the releases that its output file names already.
        pins.write_text("" if upgrade else "\n".join(
            line for use in USES if _file(use).exists() for line in _releases(_file(use))))
        _compile(home, [*USES], "--output-file", str(pins))
        for use in USES:
            text = _compile(home, [use], "--generate-hashes", "--constraint", str(pins))
            _file(use).write_text(HEAD.format(python=PYTHON) + text)
            print(f"requirements/{use}.txt: {len(_releases(_file(use)))} releases")


def _compile(home: Path, uses: list[str], *options: str) -> str:
    """Return what uv resolves for the uses together."""
    extras = [extra for use in uses for extra in USES[use][0] or ()]
    others = home / "others.txt"
    others.write_text("\n".join(word for use in uses for word in USES[use][1]))
    project = [str(ROOT / "setup.cfg")] if extras else []
    return subprocess.run(
        [home / "venv/bin/uv", "pip", "compile", "--quiet", "--no-annotate", "--no-header",
         "--python", sys.executable, "--python-version", PYTHON, "--python-platform", "linux",
         *(word for extra in extras for word in ("--extra", extra)), *options, *project, str(others)],
        check=True, stdout=subprocess.PIPE, text=True).stdout


def _releases(file: Path) -> list[str]:
    return [line.removesuffix(" \\") for line in file.read_text().splitlines() if line[:1].isalnum()]


def _file(use: str) -> Path:
    return LISTS / f"{use}.txt"


if __name__ == "__main__":
    main()
