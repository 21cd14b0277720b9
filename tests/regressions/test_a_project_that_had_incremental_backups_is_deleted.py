"""A project that ever had an incremental backup could not be deleted, although all its backups were.

The rows that are kept for the record refer to each other, which counted as being in use.
"""

from __future__ import annotations

from pathlib import Path

from hostler import clock, ids
from hostler.db.models import Backup, Project
from hostler.identity import removal
from tests.harness.volume_rest import prepare


def test_deleted_backups_keep_no_project(database_url: str, tmp_path: Path) -> None:
    cloud = prepare(tmp_path, database_url)
    with cloud.services.db.reading() as session:
        domain_id = session.query(Project.domain_id).first()[0]
    project_id, full, incremental = ids.new_id(), ids.new_id(), ids.new_id()
    cloud.add(Project(id=project_id, name="brief", domain_id=domain_id))
    for backup_id, parent_id in ((full, None), (incremental, full)):
        cloud.add(Backup(id=backup_id, project_id=project_id, user_id=ids.new_id(), parent_id=parent_id,
                         state="deleted", size_gib=1, deleted_at=clock.utcnow()))
    cloud.services.db.write(lambda session: removal.remove_project(session, project_id))
    with cloud.services.db.reading() as session:
        assert session.get(Project, project_id) is None
        assert session.get(Backup, full) is None
