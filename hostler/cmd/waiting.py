"""A service that starts before the database or the broker answers says so in one line, and waits."""

from __future__ import annotations

import dataclasses
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

import oslo_messaging
from oslo_config import cfg

from hostler.cmd.systemd import notify

LOG = logging.getLogger(__name__)

_PAUSE_S = 1.0
_CONNECT_S = 3.0
_DEFAULT_PORT = 5672


@dataclasses.dataclass(frozen=True)
class Need:
    """What a service cannot start without; `trouble` says why it does not answer, or returns None."""

    name: str
    trouble: Callable[[cfg.ConfigOpts], str | None]


def wait(conf: cfg.ConfigOpts, prog: str, needs: Sequence[Need], stopped: threading.Event) -> bool:
    """Return once each of `needs` answers; False when the process is asked to stop first."""
    for need in needs:
        said = False
        while (trouble := need.trouble(conf)) is not None:
            if not said:
                LOG.warning("%s waits for %s: %s", prog, need.name, trouble)
                said = True
            notify("EXTEND_TIMEOUT_USEC=60000000")  # else systemd takes the wait for a failed start
            if stopped.wait(_PAUSE_S):
                return False
        if said:
            LOG.info("%s: %s answers", prog, need.name)
    return True


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


BROKER: Final = Need("the message broker", _broker_trouble)
