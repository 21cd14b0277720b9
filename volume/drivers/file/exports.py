"""What one back end exports: a record for each connection, and a qemu-nbd process that serves it.

The record is written before the process starts and removed before it ends. So whatever is found says what is wanted: a
record without a process is started (the node restarted, the process died), on the port that guests know; a process
without a record is ended. The records of all back ends of a node lie in one directory, because they share its ports.

A second process would go by its own idea of where a qcow2 file's blocks are. So the second connection of a volume whose
guest goes from host to host joins the process of the first, where that admits everybody: QEMU cannot change whom a
process admits by certificate, and hypervisors report errors to their guests when one is restarted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostler import errors
from hostler.agent.files import sync, write_atomically
from hostler.agent.locks import ResourceLocks
from volume.drivers.file import nbd
from volume.drivers.file.tls import Credentials

LOG = logging.getLogger(__name__)
_NAME_PREFIX = "volume-"
_PORT_PATIENCE_S = 1.0


@dataclasses.dataclass(frozen=True)
class Export:
    """One record: what guests know (`address`, `port`, `name`) and how it is served."""

    attachment_id: str
    volume_id: str
    backend: str
    address: str
    port: int
    path: str
    format: str
    readonly: bool
    tls: bool
    host: str
    joined: str | None = None  # the connection whose process serves this one too

    @property
    def name(self) -> str:
        """Return the export's name on the wire."""
        return f"{_NAME_PREFIX}{self.volume_id}"

    @property
    def process(self) -> str:
        """Return what the process that serves it is known by."""
        return self.joined or self.attachment_id


class Exports:
    """The exports of one back end. Safe for use by many threads; one process per directory."""

    def __init__(self, directory: Path, backend: str, *, address: str, ports: str, credentials: Credentials) -> None:
        self._directory = directory
        self._backend = backend
        self._address = address
        self._ports = ports
        self._credentials = credentials
        self._locks = ResourceLocks()
        self._troubles: dict[str, str] = {}
        self._direct = False

    def open(self, *, direct: bool) -> None:
        """Check the settings and restore what a restart of the node ended; raises AgentError with what to do.

        `direct`: the file system below can be read and written past the page cache.
        """
        self._direct = direct
        _parse_ports(self._ports)
        self._credentials.check()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._writing():
            for path in self._directory.glob(".*.json.*"):  # records that were never finished
                path.unlink(missing_ok=True)
        self.repair()

    def repair(self) -> None:
        """Start what should be served and is not, end what should not; what fails is logged and tried again."""
        running = nbd.find(self._directory)
        records = self._records().values()
        for process in (running.keys() - {export.process for export in records}) | {
                export.process for export in records
                if export.backend == self._backend and export.process not in running}:
            try:
                with self._locks.hold(process):
                    self._repair(process)
            except (errors.AgentError, OSError) as error:
                trouble = error.details if isinstance(error, errors.AgentError) else str(error)
                if self._troubles.get(process) != trouble:
                    LOG.error("The export for attachment %s is not right: %s", process, trouble)
                self._troubles[process] = trouble
            else:
                self._troubles.pop(process, None)
        self._locks.forget_before(self._locks.mark())

    def connections(self) -> dict[str, str]:
        """Return attachment id → volume id of what is exported or should be."""
        records = self._records()
        served = {export.process for export in records.values()}
        found = {process: name.removeprefix(_NAME_PREFIX)
                 for process, name in nbd.find(self._directory).items() if process not in served}
        return found | {export.attachment_id: export.volume_id for export in records.values()
                        if export.backend == self._backend}

    def of_volume(self, volume_id: str) -> list[str]:
        """Return the attachments over which a volume is exported."""
        return [attachment_id for attachment_id, found in self.connections().items() if found == volume_id]

    def get(self, attachment_id: str) -> Export | None:
        """Return the record of an attachment."""
        return _read(self._record(attachment_id))

    def start(self, volume_id: str, attachment_id: str, path: Path, image_format: str, host: str, *,
              has_certificate: bool, readonly: bool, locking: bool = True) -> Export:
        """Export a disk file to one host; asked again, the same name and port. Raises AgentError.

        Without `locking` another program may have the file open, at first: an export that is restored locks it.
        """
        tls = self._credentials.applies(host, has_certificate)
        with self._locks.hold(self._process_of(attachment_id)):
            known = self.get(attachment_id)
            port = known.port if known is not None else 0
            wanted = Export(attachment_id, volume_id, self._backend,
                            known.address if known is not None else self._address, port, str(path), image_format,
                            readonly, tls, host, known.joined if known is not None else None)
            if known is None:
                return self._start_first(wanted, locking=locking)
            if known == wanted and self._is_up(known):
                return known
            nbd.stop(self._pid_file(wanted.process))
            with self._writing():
                self._write(wanted)
            self._serve_again(wanted, locking=locking)
            return wanted

    def join(self, first: Export, attachment_id: str, host: str) -> Export:
        """Let another host use an export that is not encrypted; asked again, the same."""
        with self._locks.hold(first.process):
            wanted = dataclasses.replace(first, attachment_id=attachment_id, host=host, joined=first.process)
            with self._writing():
                self._write(wanted)
        return wanted

    def stop(self, attachment_id: str) -> None:
        """End an export; fine when there is none. Raises AgentError when it does not end."""
        process = self._process_of(attachment_id)
        with self._locks.hold(process):
            self._record(attachment_id).unlink(missing_ok=True)
            if not self._served_by(process):
                nbd.stop(self._pid_file(process))

    def server_name(self) -> str:
        """Return the name that hosts must find in this node's certificate."""
        return self._credentials.server_name()

    def _repair(self, process: str) -> None:
        # Checked again: it may have been started or stopped since.
        exports = self._served_by(process)
        if not exports:
            nbd.stop(self._pid_file(process))
        elif process not in nbd.find(self._directory):
            self._serve_again(exports[0])
            LOG.warning("Volume %s is exported again to %s, port %d", exports[0].volume_id,
                        ", ".join(export.host for export in exports), exports[0].port)

    def _process_of(self, attachment_id: str) -> str:
        export = self.get(attachment_id)
        return export.process if export is not None else attachment_id

    def _served_by(self, process: str) -> list[Export]:
        return [export for export in self._records().values() if export.process == process]

    def _start_first(self, wanted: Export, *, locking: bool) -> Export:
        # A process without a record is one that should have ended.
        nbd.stop(self._pid_file(wanted.attachment_id))
        tried: set[int] = set()
        while True:
            export = self._claim_port(wanted, tried)
            try:
                self._serve(export, locking=locking)
            except nbd.PortTaken:
                tried.add(export.port)
            except BaseException:
                self._record(export.attachment_id).unlink(missing_ok=True)
                raise
            else:
                return export

    def _claim_port(self, wanted: Export, tried: set[int]) -> Export:
        """Write the record with a port that no other record has and nobody listens on."""
        first, last = _parse_ports(self._ports)
        with self._writing():
            taken = tried | {export.port for export in self._records().values()
                             if export.attachment_id != wanted.attachment_id}
            for port in range(first, last + 1):
                if port not in taken and nbd.is_free(wanted.address, port):
                    export = dataclasses.replace(wanted, port=port)
                    self._write(export)
                    return export
        self._record(wanted.attachment_id).unlink(missing_ok=True)
        raise errors.AgentError(reason=f"All ports of [volume] export_ports ({self._ports}) of the storage node are in "
                                       "use.")

    def _is_up(self, export: Export) -> bool:
        return export.process in nbd.find(self._directory) and nbd.answers(export.address, export.port)

    def _serve_again(self, export: Export, *, locking: bool = True) -> None:
        """Serve at the port that guests know. A process that is just dying holds it for a moment longer than it can
        be seen by its command line."""
        patience = time.monotonic() + _PORT_PATIENCE_S
        while True:
            try:
                return self._serve(export, locking=locking)
            except nbd.PortTaken as error:
                if time.monotonic() > patience:
                    raise errors.AgentError(reason=str(error)) from error
            time.sleep(0.05)

    def _serve(self, export: Export, *, locking: bool = True) -> None:
        options = self._credentials.options(export.host) if export.tls else []
        nbd.start(self._pid_file(export.process), export.name, export.address, export.port, Path(export.path),
                  export.format, readonly=export.readonly, direct=self._direct, locking=locking, options=options)

    def _records(self) -> dict[str, Export]:
        """Return the records of all back ends of the node by attachment."""
        read = (_read(path) for path in self._directory.glob("*.json"))
        return {export.attachment_id: export for export in read if export is not None}

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the records of the node: back ends take ports from one range."""
        with (self._directory / ".ports").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, export: Export) -> None:
        path = self._record(export.attachment_id)
        write_atomically(path, json.dumps(dataclasses.asdict(export), indent=1).encode())
        # A guest may hold on to this port through a power cut of the node.
        sync(path)
        sync(self._directory)

    def _record(self, attachment_id: str) -> Path:
        return self._directory / f"{attachment_id}.json"

    def _pid_file(self, attachment_id: str) -> Path:
        return self._directory / f"{attachment_id}.pid"


def _read(path: Path) -> Export | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        return Export(**values)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        LOG.error("The record %s of an export cannot be read (%s); it is left out", path, error)
        return None


def _parse_ports(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 0 < first <= last < 65536:
        raise errors.AgentError(reason=f"[volume] export_ports '{text}' is not a range of ports such as 10809-11808.")
    return first, last
