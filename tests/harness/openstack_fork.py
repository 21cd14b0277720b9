"""`openstack_fork.py <socket>`: waits for commands of `tests.harness.openstack_cli` and runs each in a fork."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path

import openstackclient.compute.v2.server
import openstackclient.identity.v3.project
import openstackclient.image.v2.image
import openstackclient.network.v2.network
import openstackclient.volume.v3.volume  # noqa: F401 - what most commands need is imported before the forks
from openstackclient import shell

_PR_SET_PDEATHSIG = 1


def serve(wire: socket.socket) -> int:
    """Take one command's order, become it, and return its exit status."""
    _, descriptors, _, _ = socket.recv_fds(wire, 1, 3)
    order = json.loads(b"".join(iter(lambda: wire.recv(65536), b"")))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["openstack", *order["arguments"]]
    try:
        status = int(shell.main(order["arguments"]) or 0)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def main() -> None:
    """Fork for each connection, until the process that started this ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    path = Path(sys.argv[1])
    draft = path.with_name("draft")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(draft))
        listening.listen(16)
        draft.rename(path)
        while True:
            wire, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                # The client waits for children of its own now and then.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                status = 1
                try:
                    status = serve(wire)
                finally:
                    wire.sendall(bytes([status & 255]))
                    os._exit(status)
            wire.close()


main()
