"""RBAC policies: what projects share with one another."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_NETWORKS = sa.table("networks", sa.column("id", sa.String), sa.column("project_id", sa.String),
                     sa.column("shared", sa.Boolean), sa.column("created_at", Moment))


def upgrade() -> None:
    """Add the table, with a policy for each network that is shared."""
    policies = op.create_table(
        "rbac_policies",
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("object_type", sa.String(32), nullable=False),
        sa.Column("object_id", sa.String(36), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("target", sa.String(36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_rbac_policies_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rbac_policies")),
        sa.UniqueConstraint("object_id", "action", "target", name=op.f("uq_rbac_policies_object_id_action_target")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")
    for column in ("project_id", "target"):
        op.create_index(op.f(f"ix_rbac_policies_{column}"), "rbac_policies", [column])
    shared = op.get_bind().execute(sa.select(_NETWORKS).where(_NETWORKS.c.shared)).all()
    if shared:
        op.bulk_insert(policies, [
            {"id": str(uuid.uuid4()), "project_id": row.project_id, "object_type": "network", "object_id": row.id,
             "action": "access_as_shared", "target": "*", "revision": 1, "name": "", "created_at": row.created_at,
             "updated_at": row.created_at} for row in shared])


def downgrade() -> None:
    """Remove the table; what is shared with everybody stays so."""
    policies = sa.table("rbac_policies", *(sa.column(name, sa.String) for name in ("object_id", "action", "target")))
    everybody = sa.select(policies.c.object_id).where(policies.c.action == "access_as_shared", policies.c.target == "*")
    op.execute(sa.update(_NETWORKS).values(shared=_NETWORKS.c.id.in_(everybody)))
    op.drop_table("rbac_policies")
