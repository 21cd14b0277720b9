"""What a project may use and uses, for itself to read."""

from __future__ import annotations

from api.core.server import quota_sets
from api.services import Services
from hostler import ids
from hostler.context import RequestContext


def show(services: Services, context: RequestContext, project: str | None) -> quota_sets.Quota:
    """Return the quota of the caller's project, or of another for administrators; raises Forbidden."""
    services.policy.check(context, "os_compute_api:limits")
    project_id = str(context.project_id)
    if project is not None:
        project_id = ids.canonical(project) or project
        if project_id != context.project_id:
            services.policy.check(context, "os_compute_api:limits:other_project")
    return quota_sets.read(services, project_id)
