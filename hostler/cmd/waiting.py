"""A service that starts before the database or the broker answers says so in one line, and waits."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import oslo_messaging
import sqlalchemy as sa
from oslo_config import cfg

from hostler import errors
from hostler.cmd.systemd import notify
from hostler.db.engine import Database

LOG = logging.getLogger(__name__)

DATABASE: Final = "the database"
BROKER: Final = "the message broker"
_PAUSE_S = 1.0
_CONNECT_S = 3.0
_DEFAULT_PORT = 5672


def wait(conf: cfg.ConfigOpts, prog: str, needs: Sequence[str], stopped: threading.Event) -> bool:
    """Return once each of `needs` answers; False when the process is asked to stop first."""
    for what in needs:
        said = False
        while (trouble := _CHECKS[what](conf)) is not None:
            if not said:
                LOG.warning("%s waits for %s: %s", prog, what, trouble)
                said = True
            notify("EXTEND_TIMEOUT_USEC=60000000")  # else systemd takes the wait for a failed start
            if stopped.wait(_PAUSE_S):
                return False
        if said:
            LOG.info("%s: %s answers", prog, what)
    return True


def _database_trouble(conf: cfg.ConfigOpts) -> str | None:
    database = Database.from_conf(conf)
    try:
        with database.reading() as session:
            session.scalar(sa.select(1))
    except errors.DatabaseUnavailable as error:
        return f"{error.__cause__ or error}".partition("\n")[0]
    finally:
        database.dispose()
    return None


def _broker_trouble(conf: cfg.ConfigOpts) -> str | None:
    url = oslo_messaging.TransportURL.parse(conf)
    if "memory" in url.transport or url.transport == "fake":
        return None
    trouble = None
    for host in url.hosts:
        try:
            socket.create_connection((host.hostname, host.port or _DEFAULT_PORT), _CONNECT_S).close()
        except OSError as error:
            trouble = f"{host.hostname}: {error}"
        else:
            return None
    return trouble


_CHECKS: Mapping[str, Callable[[cfg.ConfigOpts], str | None]] = {
    DATABASE: _database_trouble, BROKER: _broker_trouble}
