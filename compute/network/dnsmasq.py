"""The DHCP server process of one network: started, reconfigured, replaced, and recognised by a later agent.

dnsmasq runs on its own (it makes itself a daemon), so guests keep their leases while the agent is down. A process is
known by its command line, which names a configuration file of the network's directory; the file's name holds a hash
of its text, so the command line also shows whether the process runs with the current configuration.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from compute.network import dhcp_release, dhcp_release_ipv6, faults, namespaces
from compute.network.records import replace_file
from hostler.agent.passage import DHCP_USERS, can_reach, first_user, make_passage

LOG = logging.getLogger(__name__)

_START_TIMEOUT_S = 15
_STOP_TIMEOUT_S = 3.0
_LOG_BYTES = 1 << 20


class Dnsmasq:
    """One network's dnsmasq, which keeps its files in `directory` and runs in `namespace`."""

    def __init__(self, directory: Path, namespace: Path) -> None:
        self.directory = directory
        self._namespace = namespace

    def make(self, configuration: str, options: str, entries: Mapping[str, str], server_ip: str,
             interface: str) -> None:
        """Have a process run with these settings, by a signal rather than a restart if possible; free stale leases."""
        for passage in (self.directory.parent, self.directory):
            make_passage(passage, self.user)
        changed = self._write("dnsmasq.hosts", "\n".join([*dict.fromkeys(entries.values()), ""]))
        changed = self._write("dnsmasq.opts", options) or changed
        path = self.directory / f"dnsmasq-{hashlib.sha256(configuration.encode()).hexdigest()[:12]}.conf"
        replace_file(path, configuration)
        running = self._running()
        if running is not None and running[1] == path.name and self._at_home(running[0]):
            if changed:
                os.kill(running[0], signal.SIGHUP)
        else:
            self.stop()
            self._start(path)
        for other in self.directory.glob("dnsmasq-*.conf"):
            if other != path:
                other.unlink()
        self._free_leases(entries, server_ip, interface)
        self._trim_log()

    @property
    def user(self) -> pwd.struct_passwd:
        """The user that the process switches to once it has opened its sockets and logs.

        It is the agent's own user if others cannot reach the state directory (a trial in a home directory), because
        the process could not read its entries again.
        """
        user = first_user(DHCP_USERS)
        reaches = user is not None and can_reach(user, self.directory.parent.parent)
        return user if user is not None and reaches else pwd.getpwuid(os.geteuid())

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._running() is not None

    def reload(self) -> None:
        """Make the process read its files again, in case the agent crashed between writing and signalling."""
        running = self._running()
        if running is not None:
            os.kill(running[0], signal.SIGHUP)

    def stop(self) -> None:
        """End the process; fine when none runs. Leases stay in their file."""
        running = self._running()
        if running is None:
            return
        os.kill(running[0], signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._running() is not None:
            if time.monotonic() > deadline:
                LOG.warning("dnsmasq %s of %s did not end, killing it", running[0], self.directory.name)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running[0], signal.SIGKILL)
                deadline += _STOP_TIMEOUT_S
            time.sleep(0.002)

    def _write(self, name: str, text: str) -> bool:
        """Write a file that the process reads again as its own user; return whether that changed anything."""
        path = self.directory / name
        changed = replace_file(path, text)
        if os.geteuid() == 0 and path.stat().st_uid != self.user.pw_uid:
            os.chown(path, self.user.pw_uid, -1)
        return changed

    def _start(self, path: Path) -> None:
        command = ["dnsmasq", f"--conf-file={path}"]
        try:
            # dnsmasq's own start ends when it listens; a failure to do so is its exit status.
            done = namespaces.run_inside(self._namespace, lambda: subprocess.run(
                command, capture_output=True, text=True, timeout=_START_TIMEOUT_S, check=False, cwd="/",
                stdin=subprocess.DEVNULL))
        except FileNotFoundError as failure:
            raise faults.fault("the program dnsmasq is not installed on this host") from failure
        except subprocess.TimeoutExpired as failure:
            raise faults.fault(f"dnsmasq did not start within {_START_TIMEOUT_S} s") from failure
        if done.returncode != 0:
            LOG.error("dnsmasq for %s did not start: %s", self.directory.name, done.stderr.strip())
            raise faults.fault("the network's DHCP server did not start on this host")
        LOG.info("DHCP server of network %s started", self.directory.name)

    def _running(self) -> tuple[int, str] | None:
        """Return the process id and the name of its configuration file, or None when it does not run."""
        try:
            pid = int((self.directory / "dnsmasq.pid").read_text())
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except (OSError, ValueError):
            # A process that ended but is not collected yet (a zombie) has an empty command line.
            return None
        for argument in arguments:
            option, _, value = argument.partition("=")
            if option == "--conf-file" and Path(value).parent == self.directory:
                return pid, Path(value).name
        return None

    def _at_home(self, pid: int) -> bool:
        """Return whether the process is in the current namespace, not in a lost predecessor of it."""
        try:
            status = Path(f"/proc/{pid}/ns/net").stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == namespaces.identity(self._namespace)

    def _trim_log(self) -> None:
        """Empty a log that has grown large; dnsmasq appends, so it continues at the start of the file."""
        path = self.directory / "dnsmasq.log"
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_BYTES:
                os.truncate(path, 0)

    def _free_leases(self, entries: Mapping[str, str], server_ip: str, interface: str) -> None:
        """Give back leases that no entry has: dnsmasq would not hand their addresses to the next guest."""
        try:
            lines = (self.directory / "dnsmasq.leases").read_text().splitlines()
        except FileNotFoundError:
            return
        held = {key.partition(" ")[2] for key in entries}
        server_duid = ""
        for line in lines:
            # expiry, MAC (of IPv6: the guest's number for the address), address, name, client id
            fields = line.split()
            if fields[:1] == ["duid"] and len(fields) == 2:
                server_duid = fields[1]
            elif len(fields) >= 5 and ":" in fields[2]:
                if fields[2] not in held and server_duid:
                    self._inside(dhcp_release_ipv6.send, interface, server_duid, fields[4], fields[1], fields[2])
            elif len(fields) >= 5 and f"{fields[1]} {fields[2]}" not in entries:
                self._inside(dhcp_release.send, fields[1], fields[2], server_ip)

    def _inside(self, send: Callable[..., None], *arguments: str) -> None:
        namespaces.run_inside(self._namespace, lambda: send(*arguments))
