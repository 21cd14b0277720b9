"""Programs that agents run: short ones, and copies with progress that end when they are no longer wanted.

All of them run confined (`hostler.agent.confine`). A copy is killed when its `progress` raises and when the agent
dies, so that no copy writes on beside its own repeat. What a program says goes to the log (it names paths); users read
a sentence of ours.
"""

from __future__ import annotations

import logging
import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from hostler import errors
from hostler.agent.confine import confined

LOG = logging.getLogger(__name__)
TIMEOUT_S = 300
_LOOK_S = 0.5  # how soon a copy that is no longer wanted ends
_PERCENT = re.compile(rb"\(?(\d+(?:\.\d+)?)(?:/100%\)|% complete)")  # qemu-img, rbd

Progress = Callable[[int], None]  # called with per cent; what it raises ends the work


def run(command: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> str:
    """Run a short-lived program and return what it prints; raises AgentError naming the program."""
    try:
        done = subprocess.run(confined(command, copies=timeout_s > TIMEOUT_S), check=True, capture_output=True,
                              text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the host.") from error
    except subprocess.TimeoutExpired as error:
        raise errors.AgentError(reason=f"The program {command[0]} did not end in time.") from error
    except subprocess.CalledProcessError as error:
        raise failure(command, error.returncode, error.stderr) from error
    return done.stdout


def failure(command: Sequence[str], status: int, said: str) -> errors.AgentError:
    """Log what a program said when it failed and return the error a user may read."""
    LOG.error("%s failed with %d: %s", " ".join(command), status, said.strip())
    if "No space left on device" in said:
        return errors.AgentError(reason="The storage has no space left.")
    return errors.AgentError(reason=f"The program {Path(command[0]).name} failed on the host.")


def run_watched(command: Sequence[str], progress: Progress) -> None:
    """Run a program that prints its per cent; it ends when `progress` raises. Raises AgentError."""
    # Tied to this thread's life: an agent that is killed takes its copies along.
    try:
        child = subprocess.Popen(confined(command, copies=True, dies_with_us=True), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the host.") from error
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
    """Tell `progress` what a program prints until it ends, and at least every so often; return its last words."""
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
