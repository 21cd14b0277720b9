"""Notes of operations, out of their arguments"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('operation_notes',
    sa.Column('operation_id', sa.String(length=36), nullable=False),
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('resource_id', sa.String(length=36), nullable=True),
    sa.Column('value', sa.JSON(), nullable=True),
    sa.PrimaryKeyConstraint('operation_id', 'name', 'key', name=op.f('pk_operation_notes')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_operation_notes_resource', 'operation_notes', ['resource_id', 'name'], unique=False)
    op.add_column('operations', sa.Column('arguments_version', sa.Integer(), nullable=False, server_default='1'))
    op.add_column('operations', sa.Column('waits_for_lock', sa.Boolean(), nullable=False, server_default=sa.false()))
    _move(op.get_bind())


def _move(connection: sa.Connection) -> None:
    """Take out of the arguments what others still need: what was left on a back end, who waits for a lock."""
    operations = sa.table('operations', sa.column('id'), sa.column('resource_id'), sa.column('resource_type'),
                          sa.column('state'), sa.column('arguments', sa.JSON), sa.column('waits_for_lock', sa.Boolean))
    notes = sa.table('operation_notes', sa.column('operation_id'), sa.column('name'), sa.column('key'),
                     sa.column('resource_id'))
    rows = connection.execute(sa.select(operations.c.id, operations.c.resource_id, operations.c.arguments).where(
        sa.or_(operations.c.resource_type == 'volume', operations.c.state == 'pending'))).all()
    for row in rows:
        arguments = json.loads(row.arguments) if isinstance(row.arguments, str) else row.arguments or {}
        for backend_id in arguments.get('left_on', ()):
            connection.execute(sa.insert(notes).values(operation_id=row.id, name='left_on', key=backend_id,
                                                       resource_id=row.resource_id))
        if arguments.get('wait_for_lock'):
            connection.execute(sa.update(operations).where(operations.c.id == row.id).values(waits_for_lock=True))


def downgrade() -> None:
    op.drop_column('operations', 'waits_for_lock')
    op.drop_column('operations', 'arguments_version')
    op.drop_index('ix_operation_notes_resource', table_name='operation_notes')
    op.drop_table('operation_notes')
