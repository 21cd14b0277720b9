"""Runs tools that read what tenants made with bounded memory and processor time, and without the agent's privileges.

A crafted image must not take the host's memory, a processor for good, or the host. As root a tool keeps one capability:
to open files that libvirt gave to QEMU's user. Everything else that the agent may do it may not, and it cannot get any
of it back (no_new_privs). Where the agent is not root there is nothing to take.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

GIB = 1024**3
# What may take long is watched by its caller, who ends it when it gets no further; this is the last resort.
_COPY_S = 4 * 3600
_QUESTION_S = 120
_MEMORY_BYTES = 4 * GIB


def confined(command: Sequence[str], *, copies: bool = False, dies_with_us: bool = False) -> list[str]:
    """Return `command` with its limits; raises FileNotFoundError when the program is missing.

    A tool that only asks or prepares gets two minutes of processor time, one that `copies` gets hours. One that
    `dies_with_us` is killed when the thread that starts it ends.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(command[0])
    privileges = ["--no-new-privs"]
    if os.geteuid() == 0:
        privileges += ["--bounding-set", "-all,+dac_override"]
    if dies_with_us:
        privileges += ["--pdeathsig", "KILL"]
    # Arenas are address space that is only reserved, and librados has many threads.
    return ["setpriv", *privileges, "--", "prlimit", f"--as={_MEMORY_BYTES}",
            f"--cpu={_COPY_S if copies else _QUESTION_S}", "--", "env", "MALLOC_ARENA_MAX=4", *command]
