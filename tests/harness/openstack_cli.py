"""The unmodified `openstack` command, without its second of imports each time.

A process of the tests' own imports the client once; each command is a fork of it, with arguments, environment,
directory and standard streams of its own, and ends with the command's exit status. What runs is the client's own entry
point.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.ports import wait_for

_SERVER = Path(__file__).with_name("openstack_fork.py")


def missing() -> str | None:
    """Return why the client cannot be run here, or None."""
    return None if importlib.util.find_spec("openstackclient") else "the openstack client is not installed"


def login(url: str, password: str, home: Path, **more: str) -> dict[str, str]:
    """Return the environment of an administrator of the cloud at `url`; `more` adds to it or wins over it."""
    return {"HOME": str(home), "OS_AUTH_URL": f"{url}/identity/v3", "OS_USERNAME": "admin", "OS_PASSWORD": password,
            "OS_PROJECT_NAME": "admin", "OS_USER_DOMAIN_ID": "default", "OS_PROJECT_DOMAIN_ID": "default", **more}


def run(words: Sequence[str], environment: Mapping[str, str], *, data: bytes | None = None, cwd: Path | None = None,
        timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
    """Run `openstack words…`; `environment` comes on top of this process's without its OS_ variables.

    `data` is what it reads. Raises TimeoutError; another exit status than 0 is the caller's to look at.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    order = {"arguments": list(words), "environment": {**clean, **environment}, "directory": str(cwd or Path.cwd())}
    with (tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err,
          socket.socket(socket.AF_UNIX) as wire):
        given.write(data or b"")
        given.seek(0)
        wire.settimeout(timeout_s)
        wire.connect(_server())
        socket.send_fds(wire, [b"!"], [given.fileno(), out.fileno(), err.fileno()])
        wire.sendall(json.dumps(order).encode())
        wire.shutdown(socket.SHUT_WR)
        status = wire.recv(1)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["openstack", *words], status[0] if status else 128 + signal.SIGKILL,
                                           out.read().decode(), err.read().decode())


@functools.cache
def _server() -> str:
    """Start the process that forks, once; it ends with this one."""
    directory = tempfile.TemporaryDirectory(prefix="openstack-")
    atexit.register(directory.cleanup)
    path = Path(directory.name, "socket")
    server = subprocess.Popen([sys.executable, "-W", "ignore", str(_SERVER), str(path)], stdin=subprocess.DEVNULL)
    atexit.register(server.kill)
    wait_for(path.exists, "the openstack client", 120)
    return str(path)
