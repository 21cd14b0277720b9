"""An image's properties as the metadata of the Compute API: set some, replace all, remove one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from api.core.image.images import check_counts, check_names, lock
from api.services import Services
from hostler import clock, errors
from hostler.context import RequestContext
from hostler.resources import quota


def put(services: Services, context: RequestContext, image_id: str, items: Mapping[str, str], *,
        replace: bool = False) -> dict[str, Any]:
    """Set properties of an image, with `replace` instead of those it has; returns all of them.

    Raises NotFound, Forbidden, InvalidField for an attribute's name, QuotaExceeded or TooLarge for too many.
    """
    check_names(items)

    def work(session: orm.Session) -> dict[str, Any]:
        image = lock(services, session, context, image_id, "modify_image")
        wanted = dict(items) if replace else {**image.properties, **items}
        quota.check_items(session, services.conf, str(context.project_id), "metadata_items", len(wanted),
                          len(image.properties))
        check_counts(wanted, ())
        image.properties, image.updated_at = wanted, clock.utcnow()
        return wanted

    return services.db.write(work)


def remove(services: Services, context: RequestContext, image_id: str, name: str) -> None:
    """Remove a property; raises NotFound when it is not there."""

    def work(session: orm.Session) -> None:
        image = lock(services, session, context, image_id, "modify_image")
        if name not in image.properties:
            raise errors.NotFound("Invalid metadata key", resource="metadata", id=name)
        image.properties = {key: value for key, value in image.properties.items() if key != name}
        image.updated_at = clock.utcnow()

    services.db.write(work)
