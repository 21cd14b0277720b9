"""Options of the database; agents do not have them."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "database"

OPTS = [
    cfg.StrOpt("connection", default="", secret=True,
               help="SQLAlchemy URL. Empty: SQLite at <state_path>/hostler.db. Production: "
                    "postgresql+psycopg://user:password@host/hostler or mysql+pymysql://…"),
    cfg.IntOpt("pool_size", default=10, min=1, help="Connections kept open by one process."),
    cfg.IntOpt("max_overflow", default=40, min=0, help="Further connections opened under load."),
    cfg.IntOpt("max_retries", default=10, min=0,
               help="Times a transaction is tried again after a deadlock, a lost connection or the like."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
