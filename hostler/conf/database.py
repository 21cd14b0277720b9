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
               help="Times a transaction is retried after a deadlock, a lost connection or another passing fault."),
    cfg.FloatOpt("patience", default=10.0, min=0,
                 help="Seconds after which a failing transaction is not retried any more. A request is then answered "
                      "with 503; an operation waits."),
    cfg.IntOpt("connect_timeout", default=5, min=1,
               help="Seconds to wait for a new connection, or for a free one when the pool is exhausted."),
    cfg.IntOpt("lock_timeout", default=5, min=1,
               help="Seconds a statement waits for a row that another transaction holds."),
    cfg.IntOpt("statement_timeout", default=60, min=0, help="Seconds a statement may run; 0: no limit."),
    cfg.IntOpt("idle_transaction_timeout", default=30, min=0,
               help="Seconds after which the database ends a transaction whose client is silent (a frozen process "
                    "must not keep its rows locked); 0: no limit. SQLite has none."),
    cfg.StrOpt("sqlite_synchronous", default="FULL", choices=["FULL", "NORMAL", "OFF"],
               help="SQLite's synchronous mode. FULL waits for the disk at each commit; with NORMAL, which is several "
                    "times faster, a power cut can take back what was accepted; OFF may lose the database."),
]
