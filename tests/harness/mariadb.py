"""A MariaDB server of the test's own, from the distribution's package, in a directory that goes with the test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.harness.ports import free_port, is_open, wait_for

_SERVER = "/usr/sbin/mariadbd"


def missing() -> str | None:
    """Return what is missing on this machine, or None."""
    return None if os.path.exists(_SERVER) and shutil.which("mariadb-install-db") else "mariadb-server is not installed"


class MariaDB:
    """A MariaDB server on a loopback port; with `certificates` (a directory of `hostler-manage pki issue`) over TLS
    alone, and its URL trusts that authority alone."""

    def __init__(self, directory: Path, certificates: Path | None = None) -> None:
        self.directory = directory
        self._certificates = certificates
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its database `hostler`."""
        url = f"mysql+pymysql://hostler:secret@127.0.0.1:{self.port}/hostler?charset=utf8mb4"
        return url if self._certificates is None else f"{url}&ssl_ca={self._certificates / 'ca-cert.pem'}"

    def start(self) -> None:
        """Initialise, start, and make the database and its user."""
        data = self.directory / "data"
        data.mkdir(parents=True)
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}",
                        "--auth-root-authentication-method=normal",
                        "--skip-test-db", *as_root], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        (self.directory / "init.sql").write_text(
            "CREATE DATABASE hostler CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n"
            "CREATE USER 'hostler'@'127.0.0.1' IDENTIFIED BY 'secret';\n"
            "GRANT ALL ON *.* TO 'hostler'@'127.0.0.1';\n")
        self.resume()

    def resume(self) -> None:
        """Start it with the data it has."""
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        tls = [] if self._certificates is None else [
            "--require-secure-transport=ON", *(f"--ssl-{option}={self._certificates / name}.pem" for option, name in (
                ("ca", "ca-cert"), ("cert", "server-cert"), ("key", "server-key")))]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_SERVER, "--no-defaults", f"--datadir={self.directory / 'data'}", f"--port={self.port}",
                 "--bind-address=127.0.0.1", f"--socket={self.directory / 'socket'}",
                 f"--pid-file={self.directory / 'pid'}", f"--init-file={self.directory / 'init.sql'}",
                 "--skip-name-resolve", "--max-connections=300", "--innodb-flush-log-at-trx-commit=2", *tls, *as_root],
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait_for(lambda: is_open(self.port), f"MariaDB (see {self.directory / 'log'})", timeout_s=60)

    def pids(self) -> list[int]:
        """Return its processes."""
        return [self._process.pid] if self._process is not None else []

    def crash(self) -> None:
        """Stop at once; the data stays for `resume`."""
        self.stop()

    def stop(self) -> None:
        """Stop at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None
