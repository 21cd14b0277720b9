"""Who may do what: oslo.policy rules with our defaults; operators override them in `policy.yaml`.

Each face registers its defaults in `api/policies/<noun>.py`; the names are those the published policy references
use where one exists (`os_compute_api:servers:create`), so that operators' habits carry over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

from hostler import errors
from hostler.context import RequestContext

ADMIN = "rule:context_is_admin"
OWNER_OR_ADMIN = "rule:owner_or_admin"
READER = "rule:reader_or_admin"
ANYBODY = "@"

BASE_RULES = (
    policy.RuleDefault("context_is_admin", "role:admin and (is_admin_project:True or system_scope:all)",
                       description="The cloud's administrators: the role admin in the admin project "
                                   "([identity] admin_project_name) or on the system."),
    policy.RuleDefault("owner_or_admin", "rule:context_is_admin or (role:member and project_id:%(project_id)s)",
                       description="Members of the project that owns the target, and administrators."),
    policy.RuleDefault("reader_or_admin", "rule:context_is_admin or (role:reader and project_id:%(project_id)s)",
                       description="Those who may read in the project that owns the target."),
)


# oslo.policy looks at its files at every decision; an operator's change may take this long to count.
_RELOAD_S = 5.0
_MAX_DECISIONS = 10_000


class _Enforcer(policy.Enforcer):
    """oslo.policy's enforcer that looks for changed files now and then, not at every decision."""

    _next_look = 0.0
    looks = 0

    def load_rules(self, force_reload: bool = False) -> None:
        """Load the rules, unless that was done a moment ago."""
        now = time.monotonic()
        if force_reload or now >= self._next_look:
            self._next_look = now + _RELOAD_S
            self.looks += 1
            super().load_rules(force_reload)


class Policy:
    """Decides; built once with all registered defaults."""

    def __init__(self, conf: cfg.ConfigOpts, defaults: Iterable[policy.RuleDefault] = ()) -> None:
        self._enforcer = _Enforcer(conf)
        self._enforcer.register_defaults(list(BASE_RULES) + list(defaults))
        self._enforcer.load_rules(force_reload=True)
        self._decided: tuple[int, dict[Any, bool]] = (0, {})

    def is_admin(self, context: RequestContext) -> bool:
        """Return whether the caller administers the cloud."""
        return self.allows(context, "context_is_admin", {})

    def allows(self, context: RequestContext, action: str, target: dict[str, Any] | None = None) -> bool:
        """Return whether `context` may do `action` to `target` (its own project when none is given).

        Decisions are remembered until the rules are read again: oslo.policy inspects the signature of each part of a
        rule at each decision.
        """
        values = target if target is not None else {"project_id": context.project_id, "user_id": context.user_id}
        known = self._known()
        asked = (action, *values.items(), None, context.user_id, context.user_domain_id, context.project_id,
                 context.project_domain_id, context.domain_id, context.system_scope, context.is_admin_project,
                 context.is_admin, *context.roles)
        if asked not in known:
            known[asked] = bool(self._enforcer.enforce(action, values, context))
        return known[asked]

    def _known(self) -> dict[Any, bool]:
        self._enforcer.load_rules()
        looks, known = self._decided
        if looks != self._enforcer.looks or len(known) >= _MAX_DECISIONS:
            known = {}
            self._decided = (self._enforcer.looks, known)
        return known

    def check(self, context: RequestContext, action: str, target: dict[str, Any] | None = None) -> None:
        """Raise Forbidden unless `allows`."""
        if not self.allows(context, action, target):
            raise errors.Forbidden(action=action)
