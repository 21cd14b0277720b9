"""What snapshots and backups remember of their volume; the default volume type."""

from __future__ import annotations

import datetime as dt
import uuid

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAME = "__DEFAULT__"


def upgrade() -> None:
    """Add the columns (copies made before have no record), and the type, which volumes without one get.

    An empty database gets the type from the bootstrap.
    """
    for table in ("snapshots", "backups"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("volume_record", sa.JSON(), nullable=True))
    connection = op.get_bind()
    if not connection.scalar(sa.text("SELECT count(*) FROM projects")):
        return
    type_id = connection.scalar(sa.text("SELECT id FROM volume_types WHERE name = :name"), {"name": _NAME})
    if type_id is None:
        type_id = str(uuid.uuid4())
        connection.execute(
            sa.text("INSERT INTO volume_types (id, name, description, is_public, extra_specs, created_at, updated_at) "
                    "VALUES (:id, :name, 'Default Volume Type', :public, '{}', :now, :now)").bindparams(
                        sa.bindparam("public", type_=sa.Boolean()), sa.bindparam("now", type_=sa.DateTime())),
            {"id": type_id, "name": _NAME, "public": True, "now": dt.datetime.now(dt.UTC).replace(tzinfo=None)})
    connection.execute(sa.text("UPDATE volumes SET volume_type_id = :id WHERE volume_type_id IS NULL "
                               "AND deleted_at IS NULL"), {"id": type_id})


def downgrade() -> None:
    """Remove the columns; the type stays, since volumes may be of it."""
    for table in ("snapshots", "backups"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("volume_record")
