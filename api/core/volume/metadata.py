"""Metadata of volumes: users' own, and what volumes remember of their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.core.volume.volumes import authorised
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Volume
from hostler.resources import quota
from hostler.resources.volume import states

# As much as an image may have; each server booted from the volume keeps a copy.
MAX_IMAGE_METADATA_LENGTH = 131072
_P = "volume:{}_volume_metadata"
_IMAGE = "volume_extension:volume_image_metadata:"
Check = Callable[[Mapping[str, str]], None]  # of what is there before a change


def metadata(services: Services, context: RequestContext, volume_id: str) -> dict[str, str]:
    """Return a volume's metadata."""
    return dict(authorised(services, context, volume_id, _P.format("get")).extra)


def put_metadata(services: Services, context: RequestContext, volume_id: str, items: Mapping[str, str], *,
                 action: str, replace: bool = False, check: Check | None = None) -> dict[str, str]:
    """Merge items, or put them in place of all; return what there is then. `action` is create or update."""

    def change(volume: Volume) -> dict[str, str]:
        return dict(items) if replace else {**volume.extra, **items}

    return _change(services, context, volume_id, _P.format(action), change, check)


def delete_metadata(services: Services, context: RequestContext, volume_id: str, key: str) -> None:
    """Delete one item; raises NotFound when it is not there."""

    def change(volume: Volume) -> dict[str, str]:
        if key not in volume.extra:
            raise missing(key)
        return {name: value for name, value in volume.extra.items() if name != key}

    _change(services, context, volume_id, _P.format("delete"), change, None)


def missing(key: str) -> errors.NotFound:
    """Return the error for a metadata key that is not there."""
    return errors.NotFound(f"Metadata item {key} was not found.", resource="metadata", id=key)


def _change(services: Services, context: RequestContext, volume_id: str, action: str,
            change: Callable[[Volume], dict[str, str]], check: Check | None) -> dict[str, str]:
    def work(session: orm.Session) -> dict[str, str]:
        volume = volume_rows.to_change(services, session, context, volume_id, action)
        if volume.state == states.MAINTENANCE:
            raise volume_rows.wrong_status(volume.id, volume.state, ("other than maintenance",))
        if check is not None:
            check(volume.extra)
        wanted = change(volume)
        quota.check_items(session, services.conf, volume.project_id, "metadata_items", len(wanted), len(volume.extra))
        volume.extra = wanted
        return wanted

    return services.db.write(work)


def image_metadata(services: Services, context: RequestContext, volume_id: str) -> dict[str, str]:
    """Return what a volume remembers of its image."""
    return dict(authorised(services, context, volume_id, _IMAGE + "show").image_metadata)


def set_image_metadata(services: Services, context: RequestContext, volume_id: str,
                       items: Mapping[str, str]) -> dict[str, str]:
    """Merge items; return all of them. Raises QuotaExceeded, TooLarge."""

    def work(session: orm.Session) -> dict[str, str]:
        volume = volume_rows.to_change(services, session, context, volume_id, _IMAGE + "set")
        wanted = {**volume.image_metadata, **items}
        quota.check_items(session, services.conf, volume.project_id, "metadata_items", len(wanted),
                          len(volume.image_metadata))
        if sum(len(name) + len(value) for name, value in wanted.items()) > MAX_IMAGE_METADATA_LENGTH:
            raise errors.TooLarge(reason=f"image metadata has at most {MAX_IMAGE_METADATA_LENGTH} characters together")
        volume.image_metadata = wanted
        return dict(wanted)

    return services.db.write(work)


def unset_image_metadata(services: Services, context: RequestContext, volume_id: str, key: str) -> None:
    """Forget one item; raises NotFound when it is not there."""

    def work(session: orm.Session) -> None:
        volume = volume_rows.to_change(services, session, context, volume_id, _IMAGE + "remove")
        if key not in volume.image_metadata:
            raise missing(key)
        volume.image_metadata = {name: value for name, value in volume.image_metadata.items() if name != key}

    services.db.write(work)
