"""qemu-nbd processes: started, found again, asked whether they serve, ended.

A process outlives the agent that started it, so it is known by its command line, which names a pid file of ours; what
a pid file says is never believed. A process id that was read a moment ago may be a stranger's by now: signals go
through a descriptor that is checked after it was opened.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from hostler import errors

LOG = logging.getLogger(__name__)
PROGRAM = "qemu-nbd"
START_TIMEOUT_S = 30.0
_GREETING = b"NBDMAGICIHAVEOPT"  # https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
_ANSWER_S = 5.0
_END_S = 10.0
_PID_OPTION = "--pid-file="
_NAME_OPTION = "--export-name="


class PortTaken(Exception):
    """Somebody else listens there."""


def start(pid_file: Path, name: str, address: str, port: int, path: Path, image_format: str, *, readonly: bool,
          direct: bool, locking: bool, options: Sequence[str]) -> None:
    """Serve a disk file; returns when it is served. Without `locking` another program may have the file open.

    Raises PortTaken, AgentError.
    """
    image = [f"--format={image_format}", str(path)] if locking else [
        "--image-opts", f"driver={image_format},file.driver=file,file.locking=off,"
                        f"file.filename={str(path).replace(',', ',,')}"]
    # Any number of connections: a host that lost one must get in again before the node has noticed.
    command = [PROGRAM, "--fork", f"{_PID_OPTION}{pid_file}", "--persistent", "--shared=0", f"--bind={address}",
               f"--port={port}", f"{_NAME_OPTION}{name}", "--discard=unmap",
               f"--cache={'none' if direct else 'writeback'}", *(["--read-only"] if readonly else []), *options, *image]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S,
                              stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {PROGRAM} is missing on the storage node.") from error
    except subprocess.TimeoutExpired as error:
        stop(pid_file)
        raise errors.AgentError(reason=f"The export did not begin within {START_TIMEOUT_S:.0f} s.") from error
    if not done.returncode:
        return
    if "Address already in use" in done.stderr:
        raise PortTaken(f"Another program listens on port {port} of the storage node.")
    LOG.error("%s failed with %d: %s", " ".join(command), done.returncode, done.stderr.strip())
    if "lock" in done.stderr:
        raise errors.AgentError(reason="Another program on the storage node has the volume open.")
    raise errors.AgentError(reason="The volume could not be exported; the storage node's log says why.")


def answers(address: str, port: int) -> bool:
    """Tell whether an NBD server greets there."""
    try:
        with socket.create_connection((address, port), timeout=_ANSWER_S) as connection:
            said = b""
            while len(said) < len(_GREETING):
                block = connection.recv(len(_GREETING) - len(said))
                if not block:
                    return False
                said += block
    except OSError:
        return False
    return said == _GREETING


def is_free(address: str, port: int) -> bool:
    """Tell whether nobody listens there now. Raises AgentError when the address is not this machine's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1)
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise errors.AgentError(
                    reason="The storage node cannot export the volume: its address is configured wrong.",
                    details=f"[volume] my_ip {address} is no address of the storage node.") from error
            return False
    return True


def find(directory: Path) -> dict[str, str]:
    """Return pid file's stem → export name of every process whose pid file is in `directory`."""
    found = {}
    for _, words in _processes():
        for word in words:
            if word.startswith(_PID_OPTION) and Path(word[len(_PID_OPTION):]).parent == directory:
                name = next((item[len(_NAME_OPTION):] for item in words if item.startswith(_NAME_OPTION)), "")
                found[Path(word[len(_PID_OPTION):]).stem] = name
    return found


def stop(pid_file: Path) -> None:
    """End the process that has this pid file and wait for its end; fine when there is none. Raises AgentError."""
    for pid, words in _processes():
        if f"{_PID_OPTION}{pid_file}" in words:
            _end(pid, words)
    pid_file.unlink(missing_ok=True)


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Give (pid, command line) of every qemu-nbd that runs."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            words = _command_line(int(entry.name))
            if words and Path(words[0]).name == PROGRAM:
                yield int(entry.name), words


def _command_line(pid: int) -> list[str]:
    """Return the words of a process's command line, none when it is gone (or dead and not yet buried)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _end(pid: int, words: list[str]) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _command_line(pid) != words:
            return  # it ended, and its number may be another's
        watch = select.poll()
        watch.register(descriptor, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGKILL):
            # At its end it writes what it holds back; killed, it leaves what the guest was not promised.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if watch.poll(_END_S * 1000):
                return
    finally:
        os.close(descriptor)
    raise errors.AgentError(reason="An export does not end: the storage below it hangs.")
