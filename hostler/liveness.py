"""Control services say in the database that they live (agents do so over the bus)."""

from __future__ import annotations

import logging
import random
import threading

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import exc, orm

from hostler import clock, errors
from hostler.db.engine import Database
from hostler.db.models import Service
from hostler.db.moments import now

LOG = logging.getLogger(__name__)


class Liveness:
    """Writes a service's row every `heartbeat_interval` seconds, and those of services whose work it does besides."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, binary: str, *besides: str) -> None:
        self._db = db
        self._binary = binary
        self._binaries = (binary, *besides)
        self._host = conf.host
        self._interval = conf.heartbeat_interval
        self._down_s = conf.service_down_time
        self.living: list[str] = []  # hosts whose service of this kind lives, as of the last report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, name=f"{binary}-liveness", daemon=True)

    def start(self) -> None:
        """Start reporting."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reporting; the row stays, so that administrators see that the service is down."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _report(self) -> None:
        started_at = clock.utcnow()
        while True:
            try:
                self._db.write(lambda session: self._write(session, started_at))
                self.living = self._read_living()
                self._db.read_clock()
            except exc.IntegrityError:
                # Another service registered in the same moment and took the number: the next one is free.
                if self._stop.wait(random.uniform(0.01, 0.1)):
                    return
                continue
            except (errors.DatabaseUnavailable, exc.SQLAlchemyError) as error:
                LOG.warning("%s could not report its life: %s", self._binary, error)
            if self._stop.wait(self._interval):
                return

    def _read_living(self) -> list[str]:
        with self._db.reading() as session:
            return list(session.scalars(sa.select(Service.host).where(
                Service.binary == self._binary, Service.last_seen_at > now(-self._down_s)).order_by(Service.number)))

    def _write(self, session: orm.Session, started_at: object) -> None:
        mine = (Service.binary.in_(self._binaries), Service.host == self._host)
        result = session.execute(sa.update(Service).where(*mine).values(last_seen_at=now(), started_at=started_at))
        if result.rowcount < len(self._binaries):  # type: ignore[attr-defined]
            known = set(session.scalars(sa.select(Service.binary).where(*mine)))
            highest = session.scalar(sa.select(sa.func.max(Service.number))) or 0
            missing = [binary for binary in self._binaries if binary not in known]
            session.add_all(Service(number=number, binary=binary, host=self._host)
                            for number, binary in enumerate(missing, highest + 1))
