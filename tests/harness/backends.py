"""A broker and a database of the test's own, from the distribution's packages, in a directory that goes with it."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.harness.ports import free_port, is_open, wait_for

_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").exists() else []
_RABBIT = Path("/usr/lib/rabbitmq/bin")


def missing() -> str | None:
    """Return what is missing on this machine, or None."""
    if not _POSTGRES:
        return "postgresql is not installed"
    if not (_RABBIT / "rabbitmq-server").exists():
        return "rabbitmq-server is not installed"
    return None


class Postgres:
    """A PostgreSQL server on a loopback port; with `certificates` (a directory of `hostler-manage pki issue`) over TLS
    alone, and its URL trusts that authority alone."""

    def __init__(self, name: str = "postgres", certificates: Path | None = None) -> None:
        # Not below pytest's own directory, which its user alone may enter: the server runs as another.
        self.directory = Path(tempfile.mkdtemp(prefix=f"hostler-{name}-"))
        self.port = free_port()
        self._bin = _POSTGRES[-1]
        self._certificates = certificates

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its database `hostler`."""
        plain = f"postgresql+psycopg://hostler@127.0.0.1:{self.port}/hostler"
        if self._certificates is None:
            return plain
        return f"{plain}?sslmode=verify-full&sslrootcert={self._certificates / 'ca-cert.pem'}"

    def start(self) -> None:
        """Initialise and start."""
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres")
        data = self.directory / "data"
        self._run("initdb", "-D", str(data), "-U", "hostler", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        if self._certificates is not None:
            self._use(self._certificates, data)
        self.resume()
        self._run("createdb", "-h", str(self.directory), "-p", str(self.port), "-U", "hostler", "hostler")

    @staticmethod
    def _use(certificates: Path, data: Path) -> None:
        for name, own in (("server-cert.pem", "server.crt"), ("server-key.pem", "server.key")):
            shutil.copyfile(certificates / name, data / own)
            (data / own).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(data / own, "postgres")
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("ssl = on\n")
        (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 trust\n")

    def resume(self) -> None:
        """Start it with the data it has."""
        # Tests kill processes, never the machine: what was handed to the kernel is not lost without fsync either.
        options = (f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.directory} -c max_connections=300 "
                   "-c fsync=off")
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-l", str(self.directory / "log"), "-o", options,
                  "start")

    def crash(self) -> None:
        """Stop at once; the data stays for `resume`."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-m", "immediate", "stop")

    def restart(self) -> None:
        """Break all connections, as a crash does, and come back with what was committed."""
        self._run("pg_ctl", "-D", str(self.directory / "data"), "-w", "-m", "immediate", "-l",
                  str(self.directory / "log"), "restart")

    def pids(self) -> list[int]:
        """Return its processes."""
        postmaster = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        return [postmaster, *children_of(postmaster)]

    def stop(self) -> None:
        """Stop at once and remove its data."""
        self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(command, cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}")


@dataclasses.dataclass(frozen=True)
class VirtualHost:
    """A part of a broker: what is in it is not seen from another."""

    broker: RabbitMQ
    name: str

    @property
    def url(self) -> str:
        """Transport URL for oslo.messaging."""
        return f"{self.broker.url}{self.name}"


@functools.cache
def shared_broker() -> Iterator[VirtualHost]:
    """Start the broker that fleets of this process share; yields parts of it that nobody has used."""
    directory = tempfile.TemporaryDirectory(prefix="hostler-broker-")
    names = [f"fleet{number}" for number in range(40)]
    broker = RabbitMQ(Path(directory.name), virtual_hosts=names)
    atexit.register(directory.cleanup)
    atexit.register(broker.stop)
    broker.start()
    return iter([VirtualHost(broker, name) for name in names])


class RabbitMQ:
    """A RabbitMQ broker on a port of `address`, which must be one of this machine's; with `certificates` (a directory
    of `hostler-manage pki issue`) it speaks TLS only. With `virtual_hosts` it has these only, not the default one."""

    def __init__(self, directory: Path, address: str = "127.0.0.1", certificates: Path | None = None,
                 virtual_hosts: Sequence[str] = ()) -> None:
        self.directory = directory
        self.address = address
        self._certificates = certificates
        self._virtual_hosts = virtual_hosts
        self.port = free_port()
        self._dist_port = free_port()
        self._epmd_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Transport URL for oslo.messaging."""
        return f"rabbit://guest:guest@{self.address}:{self.port}/"

    @property
    def rabbitmqctl(self) -> str:
        """The command line by which this broker is administered."""
        return shlex.join(["env", f"HOME={self.directory}", f"ERL_EPMD_PORT={self._epmd_port}",
                           str(_RABBIT / "rabbitmqctl"), "-n", self._node])

    @property
    def _node(self) -> str:
        return f"hostler{self.port}@localhost"

    def _listeners(self) -> str:
        if self._certificates is None:
            return f"listeners.tcp.1 = {self.address}:{self.port}\n"
        files = (("cacertfile", "ca-cert"), ("certfile", "server-cert"), ("keyfile", "server-key"))
        return (f"listeners.tcp = none\nlisteners.ssl.1 = {self.address}:{self.port}\n"
                + "".join(f"ssl_options.{option} = {self._certificates / name}.pem\n" for option, name in files))

    def _definitions(self) -> str:
        if not self._virtual_hosts:
            return ""
        file = self.directory / "definitions.json"
        file.write_text(json.dumps({
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": name} for name in self._virtual_hosts],
            "permissions": [{"user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*"}
                            for name in self._virtual_hosts]}))
        return f"load_definitions = {file}\n"

    def start(self) -> None:
        """Start and wait until it takes connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "rabbitmq.conf").write_text(
            f"{self._listeners()}loopback_users = none\nlog.file.level = warning\n"
            f"disk_free_limit.absolute = 50MB\n{self._definitions()}")
        environment = {
            **os.environ, "HOME": str(self.directory), "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self._node, "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"), "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        log = (self.directory / "out.log").open("wb")
        # Mnesia leaves its dumps in the working directory.
        self._process = subprocess.Popen(
            [str(_RABBIT / "rabbitmq-server")], cwd=self.directory, env=environment, stdout=log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(self._is_up, f"RabbitMQ (see {log.name})", timeout_s=120, every_s=0.2)

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"RabbitMQ ended: {(self.directory / 'out.log').read_text()[-2000:]}")
        return is_open(self.port, self.address)

    def pids(self) -> list[int]:
        """Return its processes."""
        assert self._process is not None
        return [self._process.pid, *children_of(self._process.pid)]

    def stop(self) -> None:
        """Stop at once; data stays, so `start` brings the same broker back."""
        if self._process is None:
            return
        processes = [self._process.pid, *children_of(self._process.pid)]
        for pid in processes:
            _kill(pid)
        self._process.wait(timeout=30)
        self._process = None
        end = time.monotonic() + 10
        while is_open(self.port, self.address) and time.monotonic() < end:
            time.sleep(0.1)


def children_of(pid: int) -> list[int]:
    """Return all descendants of a process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
