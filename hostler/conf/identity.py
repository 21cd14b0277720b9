"""Options of the embedded identity service."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "identity"

OPTS = [
    cfg.IntOpt("token_ttl", default=14400, min=60, help="Seconds a token is valid."),
    cfg.StrOpt("key_directory", default="",
               help="Directory with the Fernet keys (0 staged, highest primary). Empty: <state_path>/keys."),
    cfg.IntOpt("max_active_keys", default=3, min=3,
               help="Fernet keys kept by a rotation, the staged one included. Rotating more often than every "
                    "token_ttl / (max_active_keys - 2) seconds ends tokens early."),
    cfg.IntOpt("password_rounds", default=10, min=4, max=16, help="Cost (log2) of bcrypt password hashes."),
    cfg.IntOpt("max_failed_logins", default=10, min=0,
               help="Failed passwords in a row after which a user is refused for lockout_seconds at the address they "
                    "came from (an IPv6 address counts with its /64); 0 turns it off."),
    cfg.IntOpt("lockout_seconds", default=60, min=1, help="Seconds a user stays locked out at an address."),
    cfg.IntOpt("max_groups", default=1000, min=-1, help="Groups of users that a domain may have; -1: any number."),
    cfg.StrOpt("admin_project_name", default="admin",
               help="The role admin counts for the whole cloud in this project only, and on the system; in any other "
                    "project or domain it counts for that one. Empty: it counts for the whole cloud in every "
                    "project."),
    cfg.StrOpt("admin_project_domain_name", default="Default", help="Domain of admin_project_name."),
    cfg.StrOpt("region", default="RegionOne", help="Region named in the catalog."),
]
