"""qemu-img: copies with progress that end when they are no longer wanted, and small questions about files.

All of it runs confined (`hostler.agent.confine`). A copy is killed when its `progress` raises and when the agent dies,
so that no copy writes on beside its own repeat. What qemu-img says goes to the log (it names paths); users read a
sentence of ours.
"""

from __future__ import annotations

import json
import logging
import os
import re
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from hostler import errors
from hostler.agent.confine import confined
from volume.drivers.driver import DiskSource, Progress

LOG = logging.getLogger(__name__)
TOOL_TIMEOUT_S = 300
_LOOK_S = 0.5  # how soon a copy that is no longer wanted ends
_PERCENT = re.compile(rb"\(?(\d+(?:\.\d+)?)(?:/100%\)|% complete)")  # qemu-img, rbd


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
    run_watched([*command, "-O", target_format, json_name(source.options), target], progress)


def create(path: Path, image_format: str, size_bytes: int, options: str = "") -> None:
    """Make an empty disk file."""
    run(["qemu-img", "create", "-q", "-f", image_format, *(["-o", options] if options else []), str(path),
         str(size_bytes)])


def resize(path: Path, image_format: str, size_bytes: int) -> None:
    """Change the size of the disk inside a file that nobody has open."""
    run(["qemu-img", "resize", "-q", "-f", image_format, str(path), str(size_bytes)])


def info(source: DiskSource) -> dict[str, Any]:
    """Return what `qemu-img info` tells of a disk, also while another process has it open."""
    objects = [word for item in source.objects for word in ("--object", item)]
    return json.loads(run(["qemu-img", "info", "-U", "--output=json", *objects, json_name(source.options)]))  # type: ignore[no-any-return]


def run(command: Sequence[str], *, timeout_s: float = TOOL_TIMEOUT_S) -> str:
    """Run a short-lived tool and return what it says; raises AgentError naming the tool."""
    try:
        done = subprocess.run(confined(command, copies=timeout_s > TOOL_TIMEOUT_S), check=True, capture_output=True,
                              text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the node.") from error
    except subprocess.TimeoutExpired as error:
        raise errors.AgentError(reason=f"The program {command[0]} did not end in time.") from error
    except subprocess.CalledProcessError as error:
        raise failure(command, error.returncode, error.stderr) from error
    return done.stdout


def failure(command: Sequence[str], status: int, said: str) -> errors.AgentError:
    """Log what a tool said at its failure and return the error a user may read."""
    LOG.error("%s failed with %d: %s", " ".join(command), status, said.strip())
    if "No space left on device" in said:
        return errors.AgentError(reason="The storage has no space left.")
    return errors.AgentError(reason=f"The program {Path(command[0]).name} failed on the storage node.")


def run_watched(command: Sequence[str], progress: Progress) -> None:
    """Run a tool that says its per cent; it ends when `progress` raises. Raises AgentError."""
    # Tied to this thread's life: an agent that is killed takes its copies along.
    try:
        child = subprocess.Popen(confined(command, copies=True, dies_with_us=True), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the node.") from error
    assert child.stdout is not None
    try:
        said = _watch(child.stdout, progress)
        status = child.wait()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        child.stdout.close()
    if status:
        raise failure(command, status, said)


def _watch(stream: IO[bytes], progress: Progress) -> str:
    """Tell `progress` what qemu-img prints until it ends, and at least every so often; return its last words."""
    percent, last, told_at = 0, b"", 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if selector.select(_LOOK_S):
                block = os.read(stream.fileno(), 65536)
                if not block:
                    return _PERCENT.sub(b"", last).decode(errors="replace")
                last = (last + block)[-4096:]
                found = _PERCENT.findall(last)
                percent = int(float(found[-1])) if found else percent
            if time.monotonic() - told_at >= _LOOK_S:
                progress(percent)
                told_at = time.monotonic()
