"""Runs the distribution's tools for the image builder; refuses to go on when one is missing or fails."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hostler import errors


class BuildFailed(errors.HostlerError):
    """The tiny image cannot be built here; the reason says what to install or which command failed."""

    code = "BuildFailed"
    template = "The tiny image cannot be built: {reason}"


def find_tool(name: str, package: str) -> str:
    """Return the path of the program `name`; raises BuildFailed naming the Debian `package` that brings it."""
    path = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise BuildFailed(reason=f"{name} is missing; install the package {package}.")
    return path


def find_file(candidates: Sequence[str], package: str) -> Path:
    """Return the first of `candidates` that exists; raises BuildFailed naming the Debian `package` that brings it."""
    for candidate in candidates:
        if Path(candidate).exists():
            return Path(candidate)
    raise BuildFailed(reason=f"{candidates[0]} is missing; install the package {package}.")


def run(*argv: str | Path, cwd: Path | None = None, stdin: bytes | None = None) -> bytes:
    """Run a command to its end and return what it printed; raises BuildFailed with its last words."""
    done = subprocess.run([str(part) for part in argv], cwd=cwd, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise BuildFailed(reason=f"{Path(str(argv[0])).name} ended with {done.returncode}: {words}")
    return done.stdout
