"""Which rules let whom act, on what their own project has and on what another one has.

`python -m tests.harness.rights` prints the table that `tests/security/rights.txt` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from api import policies
from api.policy import Policy
from hostler import conf as configuration
from hostler.context import RequestContext

OWN, OTHER = "0" * 32, "f" * 32
_ROLES: Final = {"reader": ["reader"], "member": ["member", "reader"], "manager": ["manager", "member", "reader"],
                 "admin": ["admin", "manager", "member", "reader"], "service": ["service"], "unscoped": []}


def _callers() -> dict[str, RequestContext]:
    """Return the callers by what they are in their project; `cloud` is admin in the admin project."""
    found = {name: RequestContext(user_id="u", project_id=None if name == "unscoped" else OWN, roles=roles,
                                  is_admin_project=False) for name, roles in _ROLES.items()}
    found["cloud"] = RequestContext(user_id="c", project_id=OWN, roles=_ROLES["admin"], is_admin_project=True)
    return found


def _target(project_id: str) -> dict[str, Any]:
    names = ("project_id", "tenant_id", "network_project_id", "member_id", "owner")
    return {**dict.fromkeys(names, project_id), "user_id": "u" if project_id == OWN else "v"}


def lines() -> Iterator[str]:
    """Yield one line a rule of every API but identity, whose rights are tested by calls."""
    policy, callers = Policy(configuration.load([], config_files=[]), policies.all_defaults()), _callers()
    for module in policies.MODULES:
        for rule in () if module is policies.identity else module.DEFAULTS:
            own, other = (" ".join(name for name, caller in callers.items()
                                   if policy.allows(caller, rule.name, _target(project))) for project in (OWN, OTHER))
            yield f"{rule.name} | {own} | {other}"


if __name__ == "__main__":
    print(*lines(), sep="\n")
