"""Metadata of volumes: users' own, and what volumes remember of their images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.core.volume.volumes import authorised
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.resources import quota
from hostler.resources.volume import states

# As much as an image may have; each server booted from the volume keeps a copy.
MAX_IMAGE_METADATA_LENGTH = 131072
_P = "volume:{}_volume_metadata"
_IMAGE = "volume_extension:volume_image_metadata:"


def metadata(services: Services, context: RequestContext, volume_id: str) -> dict[str, str]:
    """Return a volume's metadata."""
    return dict(authorised(services, context, volume_id, _P.format("get")).extra)


def missing(key: str) -> errors.NotFound:
    """Return the error for a metadata key that is not there."""
    return errors.NotFound(f"Metadata item {key} was not found.", resource="metadata", id=key)


def edit_metadata(services: Services, context: RequestContext, volume_id: str, verb: str,
                  edit: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    """Replace a volume's metadata with what `edit` makes of it, and return that; `verb` is create, update or delete."""

    def work(session: orm.Session) -> dict[str, str]:
        volume = volume_rows.to_change(services, session, context, volume_id, _P.format(verb))
        if volume.state == states.MAINTENANCE:
            raise volume_rows.wrong_status(volume.id, volume.state, ("other than maintenance",))
        wanted = edit(dict(volume.extra))
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
