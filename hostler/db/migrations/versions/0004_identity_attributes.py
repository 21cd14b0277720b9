"""Extra attributes and options of identity resources, tags of domains, zone hints of networks"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (
    *((table, column) for table in ('domains', 'projects', 'roles', 'users') for column in ('extra', 'options')),
    ('domains', 'tags'), ('networks', 'zone_hints'))


def upgrade() -> None:
    for table, column in _COLUMNS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column(column, sa.JSON(), nullable=True))


def downgrade() -> None:
    for table, column in _COLUMNS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(column)
