"""Records of deleted volumes, snapshots and backups go, in an order that no reference stands in the way of."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.models import Backup, Domain, Project, Snapshot, Volume
from hostler.db.purge import purge
from tests.harness import databases


def test_deleted_volumes_snapshots_and_backups_go_and_living_ones_stay(tmp_path: Path) -> None:
    db = databases.opened(f"sqlite:///{tmp_path / 'test.db'}")
    long_ago = clock.utcnow() - dt.timedelta(days=90)

    def work(session: orm.Session) -> None:
        session.add(Domain(id="default", name="d"))
        session.flush()
        project = Project(id=ids.new_id(), name="p", domain_id="default")
        session.add(project)
        session.flush()
        owned = {"project_id": project.id, "user_id": ids.new_id()}
        for deleted_at in (long_ago, None):
            volume = Volume(state="available", size_gib=1, claimed_gib=1, zone="nova", deleted_at=deleted_at, **owned)
            session.add(volume)
            session.flush()
            session.add(Snapshot(volume_id=volume.id, state="available", size_gib=1, deleted_at=deleted_at, **owned))
            full = Backup(volume_id=volume.id, state="available", size_gib=1, deleted_at=deleted_at, **owned)
            session.add(full)
            session.flush()
            session.add(Backup(volume_id=volume.id, state="available", size_gib=1, deleted_at=deleted_at,
                               parent_id=full.id, **owned))

    db.write(work)
    before = clock.utcnow() - dt.timedelta(days=30)
    first, second = purge(db, before), purge(db, before)
    assert (first["volumes"], first["snapshots"], first["backups"]) == (1, 1, 1)
    assert (second["volumes"], second["snapshots"], second["backups"]) == (0, 0, 1)
    assert purge(db, before)["backups"] == 0
    db.dispose()
