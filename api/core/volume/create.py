"""What it takes to accept new volumes: the request is checked, quota claimed, rows written, the quota settled.

`volume_create_flow` runs this as the flow that users know, for one volume and its operation. A server that brings new
volumes does it in its own transaction, for all of them together and without an operation of theirs:

>>> requests = [prepare(services, session, context, new) for new in wanted]   # holds what they are made from
>>> volumes = write(services, session, context, requests)                      # claims quota, adds the rows

Sources are held before the project's row is: keep to that order around these calls.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.volume import availability_zones as volume_zones
from api.core.volume import sources as volume_sources
from api.core.volume import types as volume_types
from api.core.volume.sources import FINDERS, Source
from api.services import Services
from hostler import errors, ids
from hostler.conf.volume import DEFAULT_TYPE
from hostler.context import RequestContext
from hostler.db.models import Volume, VolumeType
from hostler.resources import quota
from hostler.resources.volume import states

_MULTIATTACH: Final = "<is> True"  # value of a type's extra spec `multiattach`
_ENCRYPTION: Final = "encryption"
_NEIGHBOURS: Final = ("same_host", "different_host")  # scheduler hints that name volumes
_SHORTER: Final = {
    "snapshot": "Volume size '{size}'GB cannot be smaller than the snapshot size {least}GB. It must be >= original "
                "snapshot size.",
    "volume": "Volume size '{size}'GB cannot be smaller than original volume size {least}GB. It must be >= original "
              "volume size.",
    "backup": "Volume size {size}GB cannot be smaller than the backup size {least}GB. It must be >= backup size."}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewVolume:
    """What a create asks for; `volume_type` is a name or an id, at most one of the sources may be given."""

    size_gib: int | None = None
    name: str = ""
    description: str | None = None
    volume_type: str | None = None
    snapshot_id: str | None = None
    image_id: str | None = None
    source_volume_id: str | None = None
    backup_id: str | None = None
    zone: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scheduler_hints: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group_id: str | None = None
    idempotency_key: str | None = None

    def sources(self) -> dict[str, str]:
        """Return the sources given: kind → id."""
        given = {"snapshot": self.snapshot_id, "image": self.image_id, "volume": self.source_volume_id,
                 "backup": self.backup_id}
        return {kind: identity for kind, identity in given.items() if identity is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeRequest:
    """A checked request: everything that the volume's row will say."""

    new: NewVolume
    size_gib: int
    zone: str
    source: Source | None
    type_id: str | None
    type_name: str | None
    multiattach: bool

    def counts_as(self) -> dict[str, int]:
        """Return what the volume counts as in its project's quota."""
        return quota.of_type(self.type_name, {"volumes": 1, "gigabytes": self.size_gib})


@dataclasses.dataclass
class Reservation:
    """Quota found free for volumes to be written; the project's row is held until the transaction ends.

    There is no counter to give it back to: a reservation is worth something only while its transaction lives, and
    becomes use by the rows themselves.
    """

    project_id: str
    counts: Mapping[str, int]
    settled: bool = False
    returned: bool = False


def prepare(services: Services, session: orm.Session, context: RequestContext, new: NewVolume) -> VolumeRequest:
    """Check a request and hold what it is made from till the transaction ends.

    Raises Forbidden, NotFound for a source or type that is not there, Invalid for what can never work, WrongStatus
    for a source that is not available, ResourceLocked for one that an operation has.
    """
    given = new.sources()
    if len(given) > 1:
        raise errors.Invalid(reason="May specify only one of snapshot, imageRef, source volume or backup.")
    services.policy.check(context, "volume:create")
    if new.group_id is not None:
        raise errors.Invalid(reason="Volume groups are not supported by this cloud.")
    _check_metadata(services, session, context, new.metadata)
    new = dataclasses.replace(new, scheduler_hints=_own_hints(session, context, new.scheduler_hints))
    source = next((FINDERS[kind](services, session, context, identity) for kind, identity in given.items()), None)
    size_gib = _size_of(session, new, source)
    volume_type = _type_of(services, session, context, new, source)
    extra_specs: dict[str, str] = {}
    multiattach = False
    if volume_type is not None:
        check_not_encrypted(volume_type)
        extra_specs, multiattach = dict(volume_type.extra_specs), is_multiattach(volume_type)
    if multiattach:
        services.policy.check(context, "volume:multiattach")
    source_zone = source.zone if source is not None else None
    zone = volume_zones.zone_for_new_volume(services, session, new.zone, source_zone=source_zone,
                                            type_zones=volume_zones.zones_of_type(extra_specs))
    if source is not None:
        volume_sources.check_place(session, source, zone, volume_type)
    return VolumeRequest(
        new=new, size_gib=size_gib, zone=zone, source=source, multiattach=multiattach,
        type_id=volume_type.id if volume_type is not None else None,
        type_name=volume_type.name if volume_type is not None else None)


def write(services: Services, session: orm.Session, context: RequestContext,
          requests: Sequence[VolumeRequest]) -> list[Volume]:
    """Claim quota for all of `requests` together and add their rows; raises QuotaExceeded with the numbers."""
    reservation = reserve(services, session, context, requests)
    volumes = [enter(session, context, request) for request in requests]
    settle(reservation, requests, volumes)
    return volumes


def reserve(services: Services, session: orm.Session, context: RequestContext,
            requests: Sequence[VolumeRequest]) -> Reservation:
    """Hold the caller's project and find quota free for all of `requests`; raises QuotaExceeded."""
    project_id = str(context.project_id)
    counts: Counter[str] = Counter()
    for request in requests:
        counts.update(request.counts_as())
    held = quota.hold_for_storage(services.db, session, services.conf, project_id, counts)
    held.check(counts)
    for request in requests:
        quota.check_volume_size(held.limit, request.size_gib)
    return Reservation(project_id, dict(counts))


def enter(session: orm.Session, context: RequestContext, request: VolumeRequest) -> Volume:
    """Add a volume's row, in state creating."""
    new, source = request.new, request.source
    volume = Volume(
        id=ids.new_id(), name=new.name, description=new.description, project_id=context.project_id,
        user_id=context.user_id, state=states.CREATING, size_gib=request.size_gib, claimed_gib=request.size_gib,
        zone=request.zone, volume_type_id=request.type_id, bootable=source.bootable if source is not None else False,
        multiattach=request.multiattach, extra={**(source.metadata if source is not None else {}), **new.metadata},
        scheduler_hints=dict(new.scheduler_hints),
        image_metadata=dict(source.image_metadata) if source is not None else {},
        **volume_sources.source_fields(source))
    session.add(volume)
    session.flush()
    return volume


def settle(reservation: Reservation, requests: Sequence[VolumeRequest], volumes: Sequence[Volume]) -> None:
    """Turn a reservation into use: from now on the rows count. Raises Internal when they are not what was reserved."""
    names = {request.type_id: request.type_name for request in requests}
    counts: Counter[str] = Counter()
    for volume in volumes:
        counts.update(quota.of_type(names[volume.volume_type_id],
                                    {"volumes": 1, "gigabytes": volume.claimed_gib}))
    if counts != Counter(reservation.counts) or reservation.returned:
        raise errors.Internal(f"quota reserved for new volumes was {dict(reservation.counts)}, they are {dict(counts)}")
    reservation.settled = True


def usable_type(session: orm.Session, context: RequestContext, name_or_id: str) -> VolumeType:
    """Return a volume type that the caller may use; raises NotFound."""
    query = sa.select(VolumeType).where(sa.or_(VolumeType.id == (ids.canonical(name_or_id) or ""),
                                               VolumeType.name == name_or_id))
    if not context.is_admin:
        query = query.where(volume_types.visible(context))
    found = session.scalars(query.order_by(VolumeType.name).limit(1)).one_or_none()
    if found is None:
        raise errors.NotFound(resource="Volume type", id=name_or_id)
    return found


def is_multiattach(volume_type: VolumeType) -> bool:
    """Return whether volumes of a type may be attached to several servers."""
    return bool(volume_type.extra_specs.get("multiattach") == _MULTIATTACH)


def check_not_encrypted(volume_type: VolumeType) -> None:
    """Raise Invalid for a type that asks for encryption."""
    if any(key.startswith(_ENCRYPTION) for key in volume_type.extra_specs):
        raise errors.Invalid(reason=f"Volume type {volume_type.name} asks for encryption, which this cloud does not "
                                    "support.")


def _type_of(services: Services, session: orm.Session, context: RequestContext, new: NewVolume,
             source: Source | None) -> VolumeType | None:
    """Return the type asked for; else the source's; else the configured one; else none."""
    if new.volume_type:
        return usable_type(session, context, new.volume_type)
    if source is not None and source.type_name is not None:
        # Access to the source includes its type; a type that an image names must be one the caller may use.
        inherited = session.get(VolumeType, source.type_name)
        return inherited if inherited is not None else usable_type(session, context, source.type_name)
    name = services.conf.volume.default_volume_type
    if not name:
        return None
    default = session.scalars(sa.select(VolumeType).where(VolumeType.name == name)).one_or_none()
    if default is None and name != DEFAULT_TYPE:
        raise errors.Invalid(reason=f"The default volume type {name} of this cloud does not exist; name another one.")
    return default


def _own_hints(session: orm.Session, context: RequestContext, hints: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the hints with only those volumes that the caller sees: it must not learn where another project's are.

    Raises Invalid for a hint to be near a volume that is not among them.
    """
    kept = dict(hints)
    for name in _NEIGHBOURS:
        if name not in hints:
            continue
        query = sa.select(Volume.id).where(Volume.id.in_(hints[name]), Volume.deleted_at.is_(None))
        if not context.is_admin:
            query = query.where(Volume.project_id == context.project_id)
        kept[name] = sorted(session.scalars(query))
        if name == _NEIGHBOURS[0] and hints[name] and not kept[name]:
            raise errors.Invalid(reason="No volume of the scheduler hint same_host could be found.")
    return kept


def _size_of(session: orm.Session, new: NewVolume, source: Source | None) -> int:
    size_gib = new.size_gib if new.size_gib is not None else source.min_gib if source is not None else None
    if size_gib is None or size_gib < 1:
        raise errors.Invalid(reason=f"Volume size '{size_gib}' must be an integer and greater than 0")
    if source is not None and source.kind == "image":
        volume_sources.check_image_fits(session, source.id, size_gib)
    elif source is not None and size_gib < source.min_gib:
        raise errors.Invalid(reason=_SHORTER[source.kind].format(size=size_gib, least=source.min_gib))
    return size_gib


def _check_metadata(services: Services, session: orm.Session, context: RequestContext,
                    metadata: Mapping[str, str]) -> None:
    if not metadata:
        return
    quota.check_items(session, services.conf, str(context.project_id), "metadata_items", len(metadata))
    for key, value in metadata.items():
        if not 0 < len(key) <= 255 or len(value) > 255:
            raise errors.InvalidField(field="metadata", value=key[:80],
                                      reason="Keys have 1 to 255 characters, values at most 255.")
