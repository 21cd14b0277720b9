"""What a volume agent says about its node in every heartbeat, and when asked what is on it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from oslo_config import cfg

from hostler import clock, errors
from hostler.resources.volume.specs import ConnectorSpec
from volume import contents
from volume.backends import Backends
from volume.backups.store import BackupStore
from volume.copy_snapshots import CopySnapshots


class Reporter:
    """Builds reports and inventories."""

    def __init__(self, conf: cfg.ConfigOpts, backends: Backends, store: BackupStore, copy_snapshots: CopySnapshots
                 ) -> None:
        self._conf = conf
        self._backends = backends
        self._store = store
        self._copy_snapshots = copy_snapshots
        self._started_at = clock.iso_micro(clock.utcnow())

    def report(self) -> dict[str, Any]:
        """Return `conductor.rpcapi.ConductorAPI.volume_heartbeat`'s report; unreachable back ends are in it.

        Beside what that names: `connector`, how this node reaches volumes that other nodes export to it.
        """
        self._backends.look()
        return {"started_at": self._started_at, "availability_zone": self._conf.volume.availability_zone,
                "backup_store": self._store.identity(), "connector": self._connector().to_wire(),
                "backends": [item.describe() for item in self._backends]}

    def inventory(self) -> dict[str, Any]:
        """Return `volume.rpcapi.VolumeAPI.get_inventory`; without the agent's own copy snapshots."""
        found, own = self._backends.find(), self._copy_snapshots.ids()
        for backend in found.values():
            backend["snapshots"] = [snapshot for snapshot in backend["snapshots"] if snapshot not in own]
        with contextlib.suppress(errors.AgentError):
            self._store.check()  # what is missing here is believed to be lost: look, rather than remember
        return {"backends": found, "backup_store": self._store.identity(),
                "backups": self._store.ids()}

    def _connector(self) -> ConnectorSpec:
        options = self._conf.volume
        tls = bool(options.tls_dir) and (Path(options.tls_dir) / "client-cert.pem").is_file()
        return ConnectorSpec(host=self._conf.host, ip=options.my_ip, tls=tls,
                             protocols=(contents.LOCAL, "nbd", "rbd", "fake"))
