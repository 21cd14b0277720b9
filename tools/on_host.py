"""`on_host.py PID COMMAND…`: runs a command on the private host (`tools/private-host`) whose first process is PID.

Unlike `nsenter` it passes SIGTERM on to the command, ends with it, and takes it along when killed, so a service has one
process to signal and to wait for.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def enter(pid: int) -> None:
    """Move this process into the namespaces of `pid` (its children, for the pid namespace)."""
    # Opened before the first move: afterwards /proc is the other's. The mount namespace goes last for the same reason.
    handles = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("uts", "net", "pid", "mnt")]
    directory = os.getcwd()
    for handle in handles:
        if _LIBC.setns(handle, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(handle)
    os.chdir(directory)


def main() -> int:
    """Enter, run, wait."""
    enter(int(sys.argv[1]))
    child = os.fork()
    if child == 0:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.execvp(sys.argv[2], sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
