"""kill -9 before each thing that a piece of code does to the world outside, one run for each.

The interpreter's audit events (PEP 578) name what is done: files opened, renamed and removed, programs started,
directories read. A forked child does the work and is killed before event 0, then another before event 1, and so on
until one gets through: what happened before event n is done, the rest is not.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

_OUTSIDE = frozenset({
    "open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.scandir", "os.listdir", "os.truncate", "os.chmod",
    "subprocess.Popen", "socket.bind", "socket.connect", "fcntl.flock", "fcntl.ioctl", "signal.pidfd_send_signal"})
_FAILED = 70


def crash_everywhere(prepare: Callable[[], Callable[[], Any]], interesting: Callable[[str], bool] = lambda _text: True
                     ) -> Iterator[tuple[int, str]]:
    """Give (number, what would have come next) after each crash; ends when a run got through.

    `prepare` runs in the child and returns the work; `interesting` picks events by "name first-argument".
    """
    number = 0
    while True:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            _run(prepare, interesting, number, write)
        os.close(write)
        with os.fdopen(read, "r", errors="replace") as stream:
            said = stream.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        if status != -signal.SIGKILL:
            raise AssertionError(f"run {number} ended with {status}: {said}")
        yield number, said
        number += 1


def _run(prepare: Callable[[], Callable[[], Any]], interesting: Callable[[str], bool], number: int, out: int) -> None:
    """Do the work in the child; never returns."""
    try:
        work = prepare()
        left = number

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event not in _OUTSIDE:
                return
            text = f"{event} {arguments[0] if arguments else ''}"
            if "/proc/" in text or text.endswith(".py") or not interesting(text):
                return
            if left == 0:
                os.write(out, text.encode(errors="replace"))
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        sys.addaudithook(hook)
        work()
    except BaseException:  # noqa: BLE001 - the parent raises it
        os.write(out, traceback.format_exc().encode())
        os._exit(_FAILED)
    os._exit(0)
