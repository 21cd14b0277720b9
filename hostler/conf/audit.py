"""Options of the audit trail. Where its notifications go is said in [oslo_messaging_notifications]."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "audit"

OPTS = [
    cfg.BoolOpt("enabled", default=True,
                help="Note who logged in (also in vain), who changed users, projects, roles and grants, what "
                     "administrators changed, and who looked at a server's console."),
    cfg.BoolOpt("write_file", default=True, help="Append each event to `file`, as one line of JSON."),
    cfg.StrOpt("file", default="",
               help="File of the events, readable by its owner only. It may be renamed at any time (logrotate): the "
                    "next event begins a new one. Empty: <state_path>/audit.log."),
    cfg.IntOpt("queue_size", default=10000, min=1,
               help="Events that wait for a slow disk or an unreachable broker; further ones are dropped and counted "
                    "in the log. Requests never wait."),
]
