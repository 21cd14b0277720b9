"""Port forwardings of floating IPs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from hostler.db.moments import Moment

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "port_forwardings",
        sa.Column("floating_ip_id", sa.String(36), nullable=False), sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("fixed_ip_address", sa.String(64), nullable=False),
        sa.Column("protocol", sa.String(16), nullable=False),
        *(sa.Column(f"{side}_{end}", sa.Integer(), nullable=False)
          for side in ("external", "internal") for end in ("first", "last")),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(2048), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["floating_ip_id"], ["floating_ips.id"],
                                name=op.f("fk_port_forwardings_floating_ip_id")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_port_forwardings_port_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_port_forwardings")),
        sa.UniqueConstraint("floating_ip_id", "protocol", "external_first", "external_last",
                            name=op.f("uq_port_forwardings_external")),
        sa.UniqueConstraint("port_id", "protocol", "fixed_ip_address", "internal_first", "internal_last",
                            name=op.f("uq_port_forwardings_internal")),
        mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")


def downgrade() -> None:
    """Remove it."""
    op.drop_table("port_forwardings")
