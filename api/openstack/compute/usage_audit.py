"""/os-instance_usage_audit_log: which hosts reported their servers' use of the last period.

Use is counted from records, on demand (`/os-simple-tenant-usage`); no host ever runs an audit of its own.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import falcon
import sqlalchemy as sa

from api.openstack.compute import params
from api.openstack.resource import Resource
from hostler import clock, errors
from hostler.db.models import Host

_POLICY = "os_compute_api:os-instance-usage-audit-log:"


class _Log(Resource):
    def log(self, before: dt.datetime) -> dict[str, Any]:
        """Return what is known of the last whole month before a moment."""
        end = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        begin = (end - dt.timedelta(days=1)).replace(day=1)
        with self.services.db.reading() as session:
            names = list(session.scalars(sa.select(Host.name).order_by(Host.name)))
        return {"period_beginning": str(begin), "period_ending": str(end), "num_hosts": len(names), "num_hosts_done": 0,
                "num_hosts_running": 0, "num_hosts_not_run": len(names), "hosts_not_run": names, "total_instances": 0,
                "total_errors": 0, "overall_status": f"0 of {len(names)} hosts done. 0 errors.", "log": {}}


class UsageAudits(_Log):
    """GET /os-instance_usage_audit_log."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the last period."""
        self.services.policy.check(params.caller(request), _POLICY + "list")
        response.media = {"instance_usage_audit_logs": self.log(clock.utcnow())}


class UsageAuditItem(_Log):
    """GET /os-instance_usage_audit_log/{before}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, before: str) -> None:
        """Show the period before a time."""
        self.services.policy.check(params.caller(request), _POLICY + "show")
        response.media = {"instance_usage_audit_log": self.log(_moment(before))}


def _moment(text: str) -> dt.datetime:
    for form in ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S"):
        try:
            found = dt.datetime.strptime(text, form)
        except ValueError:
            continue
        if found.year > 1:  # there must be a month before it
            return found
    raise errors.Invalid(reason=f"Invalid timestamp for date {text[:80]}")


ROUTES: Final = (("/os-instance_usage_audit_log", UsageAudits),
                 ("/os-instance_usage_audit_log/{before}", UsageAuditItem))
