"""The destinations of audit events. Each is used by one thread, which may wait."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import oslo_messaging
from oslo_config import cfg

from hostler.audit.file import AuditFile
from hostler.bus import memory

LOG = logging.getLogger(__name__)
Event = tuple[str, dict[str, Any]]  # type and content

_DRIVERS_LOG: Final = "oslo_messaging.notify.messaging"
_RETRY_S: Final = 5.0


class FileDestination:
    """Appends to a file, one line an event."""

    name = "the audit file"

    def __init__(self, path: Path) -> None:
        self._file = AuditFile(path)

    def write(self, events: Sequence[Event]) -> None:
        """Append the events."""
        # ASCII: no character that any reader of lines takes for the end of one.
        self._file.append("".join(f"{json.dumps(content)}\n" for _, content in events).encode("ascii"))


class _Failures(logging.Filter):
    """Takes a driver's fault out of the log, where it would stand with its whole event each time, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.last: object = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what the driver could not send, and let nothing into the log."""
        self.last = record.exc_info[1] if record.exc_info else record.getMessage()
        return False


class BusDestination:
    """Sends notifications with oslo.messaging, by the drivers and to the topics that are configured.

    The library drops what it cannot send and says so in its log only. Here the event waits until the broker takes it.
    """

    name = "the bus"

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        memory.install()
        self._conf = conf
        self._notifier: oslo_messaging.Notifier | None = None
        self._failures = _Failures()

    def write(self, events: Sequence[Event]) -> None:
        """Send the events; waits for a broker as long as it takes."""
        if self._notifier is None:
            transport = oslo_messaging.get_notification_transport(self._conf)
            self._notifier = oslo_messaging.Notifier(transport, publisher_id=f"hostler-api.{self._conf.host}")
            logging.getLogger(_DRIVERS_LOG).addFilter(self._failures)
        for kind, content in events:
            self._send(self._notifier, kind, content)

    def _send(self, notifier: oslo_messaging.Notifier, kind: str, content: dict[str, Any]) -> None:
        waited = False
        while True:
            self._failures.last = None
            notifier.info({}, kind, content)
            if self._failures.last is None:
                break
            if not waited:
                LOG.error("audit events wait, the bus does not take them: %s", self._failures.last)
            waited = True
            time.sleep(_RETRY_S)
        if waited:
            LOG.warning("the bus takes audit events again")
