"""qemu-img: copies with progress, and small questions about files (see `hostler.agent.programs`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hostler.agent import programs
from hostler.agent.programs import Progress
from volume.drivers.driver import DiskSource


def json_name(options: dict[str, Any]) -> str:
    """Return a blockdev's options as a file name that QEMU's tools understand."""
    return "json:" + json.dumps(options)


def convert(source: DiskSource, target: str, target_format: str, progress: Progress, *, create: bool = True,
            target_options: str = "", target_is_zero: bool = False, durable: bool = True) -> None:
    """Copy `source` to `target` (a path, or a name such as `rbd:…`) and, when it is to be `durable`, have it on the
    disk when this returns; raises AgentError.

    `create` False writes into an existing target at least as large as the source; with `target_is_zero`, what the
    source does not hold is not written there. `progress` is called with per cent; what it raises ends the copy and
    propagates.
    """
    command = ["qemu-img", "convert", "-p", "-t", "writeback" if durable else "unsafe"]
    for item in source.objects:
        command += ["--object", item]
    if not create:
        command.append("-n")
    if target_is_zero:
        command.append("--target-is-zero")
    if target_options:
        command += ["-o", target_options]
    programs.run_watched([*command, "-O", target_format, json_name(source.options), target], progress)


def create(path: Path, image_format: str, size_bytes: int, options: str = "") -> None:
    """Make an empty disk file."""
    programs.run(["qemu-img", "create", "-q", "-f", image_format, *(["-o", options] if options else []), str(path),
         str(size_bytes)])


def info(source: DiskSource) -> dict[str, Any]:
    """Return what `qemu-img info` tells of a disk, also while another process has it open."""
    objects = [word for item in source.objects for word in ("--object", item)]
    return json.loads(programs.run(["qemu-img", "info", "-U", "--output=json", *objects, json_name(source.options)]))  # type: ignore[no-any-return]
