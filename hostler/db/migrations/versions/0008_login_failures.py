"""Failed logins by user and source"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MOMENT = (sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mariadb')
           .with_variant(mysql.DATETIME(fsp=6), 'mysql'))


def upgrade() -> None:
    op.create_table(
        'login_failures',
        sa.Column('user_id', sa.String(length=36), nullable=False),
        sa.Column('source', sa.String(length=64), nullable=False),
        sa.Column('failures', sa.Integer(), nullable=False),
        sa.Column('locked_until', _MOMENT, nullable=True),
        sa.Column('expires_at', _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_login_failures_user_id')),
        sa.PrimaryKeyConstraint('user_id', 'source', name=op.f('pk_login_failures')),
        mysql_charset='utf8mb4', mysql_collate='utf8mb4_bin', mysql_engine='InnoDB')
    op.create_index(op.f('ix_login_failures_expires_at'), 'login_failures', ['expires_at'], unique=False)


def downgrade() -> None:
    op.drop_table('login_failures')
