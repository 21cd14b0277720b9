"""Compute hosts on one machine, each in namespaces of its own: mounts, host name, network and processes.

A host (`tools/private-host`) has its own libvirtd and its own kernel network (bridges, taps, filters); a fabric bridge
joins it to the test, whose end has the fabric's first address: broker and api listen there. Everything that runs on a
host ends with its first process, and that one with the test's, so nothing outlives a failed run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.harness.backends import children_of
from tests.harness.ports import wait_for

_ROOT = Path(__file__).resolve().parents[2]
_LIBVIRTD = _ROOT / "tools" / "private-libvirtd"
_HOST = _ROOT / "tools" / "private-host"
_ON_HOST = _ROOT / "tools" / "on_host.py"
_PROGRAMS = ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "unshare", "setpriv", "dnsmasq", "nft", "ip")


def missing() -> str | None:
    """Return why no host can be had here, or None."""
    if os.geteuid() != 0:
        return "simulated hosts need root: namespaces, bridges, libvirtd"
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    return f"programs not installed: {', '.join(lacking)}" if lacking else None


class Fabric:
    """The bridge between the hosts and the test; a /24 that nobody else on this machine uses."""

    def __init__(self) -> None:
        self.number = next(number for number in range(os.getpid() % 200, 4000)
                           if not _is_used(f"10.{224 + number // 250}.{number % 250}.1"))
        self.prefix = f"10.{224 + self.number // 250}.{self.number % 250}"
        self.bridge = f"hfab{self.number}"
        self.address = f"{self.prefix}.1"

    def start(self) -> None:
        """Make the bridge."""
        # Else its address is that of one of its links, and changes with the hosts that come and go.
        address = f"02:68:66:61:{self.number // 256:02x}:{self.number % 256:02x}"
        _run("ip", "link", "add", self.bridge, "address", address, "type", "bridge")
        _run("ip", "addr", "add", f"{self.address}/24", "dev", self.bridge)
        speaks_ipv6 = Path(f"/proc/sys/net/ipv6/conf/{self.bridge}/disable_ipv6")
        if speaks_ipv6.exists():
            speaks_ipv6.write_text("0")
            _run("ip", "addr", "add", f"{self.ipv6_address}/64", "dev", self.bridge, "nodad")
        _run("ip", "link", "set", self.bridge, "up")

    @property
    def ipv6_address(self) -> str:
        """Its IPv6 address, the first of `ipv6_prefix(0)`."""
        return self.ipv6_prefix(0).replace("/64", "1")

    def ipv6_prefix(self, number: int) -> str:
        """Return a /64 that no other fabric has: 0 is its own, others are for networks that it leads to."""
        return f"2001:db8:{self.number:x}:{number:x}::/64"

    def lead(self, prefix: str, address: str) -> None:
        """Route a prefix to an address on the fabric."""
        _run("ip", "-6", "route", "replace", prefix, "via", address, "dev", self.bridge)

    def stop(self) -> None:
        """Remove the bridge; the links of hosts that are gone went with them."""
        subprocess.run(["ip", "link", "del", self.bridge], check=False, capture_output=True)


class Host:
    """One compute host: `host<number>` at the fabric's address 10 + number; eth1 is for its guests' network."""

    def __init__(self, fabric: Fabric, number: int, directory: Path) -> None:
        self.name = f"host{number}"
        self.address = f"{fabric.prefix}.{10 + number}"
        self.directory = directory
        self.libvirt_dir = directory / "v"
        self._fabric = fabric
        self._number = number
        self._outer: subprocess.Popen[str] | None = None
        self.pid = 0

    @property
    def uri(self) -> str:
        """Connection URI of its libvirtd, valid inside and outside."""
        return f"qemu+unix:///system?socket={self.libvirt_dir}/run/libvirt-sock"

    @property
    def launcher(self) -> list[str]:
        """What to put before a command so that it runs on this host."""
        return [sys.executable, str(_ON_HOST), str(self.pid)]

    def start(self) -> None:
        """Switch it on and start libvirtd. Raises RuntimeError with what went wrong.

        After `stop` the same machine boots again: its disk is as it was, its /run is empty.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.libvirt_dir / "run", ignore_errors=True)
        (self.libvirt_dir / "libvirtd.pid").unlink(missing_ok=True)
        self._outer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", str(_HOST), self.name, f"{self.address}/24",
             self._fabric.bridge, f"{self._fabric.bridge}h{self._number}"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self._outer.stdout is not None
        words = self._outer.stdout.readline().split()
        if words[:1] != ["up"]:
            raise RuntimeError(f"the namespaces of {self.name} cannot be made")
        self.pid = int(words[1])
        self.start_libvirtd()

    def start_libvirtd(self) -> None:
        """Start libvirtd, or bring it back; guests that run go on."""
        done = self.run(f"HOSTLER_LIBVIRT_LISTEN={self.address} bash {_LIBVIRTD} start {self.libvirt_dir} < /dev/null",
                        timeout_s=60)
        if done.returncode:
            raise RuntimeError(f"no libvirtd on {self.name}: {done.stderr}")

    def kill_libvirtd(self) -> None:
        """kill -9 of the daemon alone."""
        self.check(f"kill -9 $(cat {self.libvirt_dir}/libvirtd.pid)")

    def run(self, command: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a shell command on the host."""
        return subprocess.run([*self.launcher, "sh", "-c", command], capture_output=True, text=True, check=False,
                              timeout=timeout_s, stdin=subprocess.DEVNULL)

    def check(self, command: str) -> str:
        """Run a shell command that must succeed; returns its output."""
        done = self.run(command)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {command}: {done.stdout}{done.stderr}")
        return done.stdout

    def hide(self, path: Path) -> None:
        """Let the host see an empty directory where `path` is."""
        self.check(f"mkdir -p {path} && mount -t tmpfs tmpfs {path}")

    def domains(self) -> list[str]:
        """Return the names of all its domains, running or not."""
        return self.check(f"virsh -q -c '{self.uri}' list --all --name").split()

    def links(self) -> list[str]:
        """Return its network links but lo, eth0 and eth1."""
        names = [line.split(":")[1].split("@")[0].strip() for line in self.check("ip -o link").splitlines()]
        return [name for name in names if name not in ("lo", "eth0", "eth1")]

    def programs(self) -> list[str]:
        """Return the names of the programs that run on it."""
        names = []
        for pid in children_of(self.pid):
            with contextlib.suppress(OSError):
                names.append(Path(f"/proc/{pid}/comm").read_text().strip())
        return names

    def stop(self) -> None:
        """End everything that runs on it at once, as a power cut does."""
        if self._outer is None:
            return
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._outer.kill()
        self._outer.wait(timeout=30)
        wait_for(lambda: not Path(f"/proc/{self.pid}").exists(), f"{self.name}'s end")
        self._outer = None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def _is_used(address: str) -> bool:
    # A default route answers for everything; only a link that has the block counts.
    found = subprocess.run(["ip", "-o", "route", "list", "exact", address.rsplit(".", 1)[0] + ".0/24"],
                           capture_output=True, text=True, check=True)
    return bool(found.stdout.strip())
