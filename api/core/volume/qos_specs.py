"""QoS specs, and which volume types have them. A type has one at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.volume.types import TYPES
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import QosSpecs, VolumeType
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.volume import qos

_POLICY: Final = "volume_extension:qos_specs_manage:"
QOS_SPECS: Final = declare(QosSpecs)


def list_specs(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of them; raises NotFound for an unknown marker."""
    services.policy.check(context, _POLICY + "get_all")
    with services.db.reading() as session:
        return read_page(session, QOS_SPECS, query)


def show(services: Services, context: RequestContext, specs_id: str) -> QosSpecs:
    """Return one; raises NotFound."""
    services.policy.check(context, _POLICY + "get")
    with services.db.reading() as session:
        return _find(session, specs_id)


def create(services: Services, context: RequestContext, name: str, consumer: str,
           specs: Mapping[str, str]) -> QosSpecs:
    """Write new ones; raises InvalidField for a limit that hypervisors refuse, NotUnique for a name that is taken."""
    services.policy.check(context, _POLICY + "create")
    qos.check(consumer, specs)
    specs_id = ids.new_id()

    def work(session: orm.Session) -> QosSpecs:
        if session.scalar(sa.select(QosSpecs.id).where(QosSpecs.name == name, QosSpecs.id != specs_id)) is not None:
            raise _taken(name)
        made = QosSpecs(id=specs_id, name=name, consumer=consumer, specs=dict(specs))
        session.add(made)
        return made

    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise _taken(name) from error


def update(services: Services, context: RequestContext, specs_id: str, specs: Mapping[str, str],
           consumer: str | None) -> None:
    """Add to the specs or change them; volumes obey at their next attachment. Raises as `create`, and NotFound."""
    services.policy.check(context, _POLICY + "update")

    def work(session: orm.Session) -> None:
        row = _hold(services, session, specs_id)
        _set(row, {**row.specs, **specs}, consumer or row.consumer)

    services.db.write(work)


def unset(services: Services, context: RequestContext, specs_id: str, keys: Sequence[str]) -> None:
    """Remove some of the specs; raises NotFound for one that is not there, and changes nothing then."""
    services.policy.check(context, _POLICY + "delete")

    def work(session: orm.Session) -> None:
        row = _hold(services, session, specs_id)
        missing = [key for key in keys if key not in row.specs]
        if missing:
            raise errors.NotFound(f"QoS spec {specs_id} has no spec with key {missing[0]}.", resource="qos_spec",
                                  id=missing[0])
        _set(row, {key: value for key, value in row.specs.items() if key not in keys}, row.consumer)

    services.db.write(work)


def delete(services: Services, context: RequestContext, specs_id: str, *, force: bool) -> None:
    """Delete them; raises Invalid while types have them, unless `force` takes them from those."""
    services.policy.check(context, _POLICY + "delete")

    def work(session: orm.Session) -> None:
        row = _hold(services, session, specs_id)
        if not force and session.scalar(_types_of(row.id).limit(1)) is not None:
            raise errors.Invalid(reason="Qos specs still in use.")
        _release(session, row.id)
        session.delete(row)

    services.db.write(work)


def associations(services: Services, context: RequestContext, specs_id: str) -> Sequence[VolumeType]:
    """Return the types that have them, by name."""
    services.policy.check(context, _POLICY + "get_all")
    with services.db.reading() as session:
        return session.scalars(_types_of(_find(session, specs_id).id).order_by(VolumeType.name)).all()


def associate(services: Services, context: RequestContext, specs_id: str, type_id: str) -> None:
    """Give them to a type; may be repeated. Raises NotFound, and Invalid for a type that has others."""
    services.policy.check(context, _POLICY + "update")

    def work(session: orm.Session) -> None:
        found = _hold(services, session, specs_id)
        row = TYPES.hold(services, session, context, type_id)
        if row.qos_specs_id not in (None, found.id):
            raise errors.Invalid(reason=f"Type {row.id} is already associated with another qos specs: "
                                        f"{row.qos_specs_id}")
        row.qos_specs_id = found.id

    services.db.write(work)


def disassociate(services: Services, context: RequestContext, specs_id: str, type_id: str | None) -> None:
    """Take them from a type, or from all (None); fine where it does not have them. Raises NotFound."""
    services.policy.check(context, _POLICY + "update")

    def work(session: orm.Session) -> None:
        found = _hold(services, session, specs_id)
        if type_id is None:
            _release(session, found.id)
            return
        row = TYPES.hold(services, session, context, type_id)
        if row.qos_specs_id == found.id:
            row.qos_specs_id = None

    services.db.write(work)


def _find(session: orm.Session, specs_id: str) -> QosSpecs:
    row = session.get(QosSpecs, ids.canonical(specs_id) or "")
    if row is None:
        raise errors.NotFound(f"No such qos spec {specs_id[:80]}.", resource="qos_specs", id=specs_id)
    return row


def _hold(services: Services, session: orm.Session, specs_id: str) -> QosSpecs:
    row = _find(session, specs_id)
    services.db.lock_row(session, QosSpecs, QosSpecs.id == row.id)
    session.refresh(row)
    return row


def _set(row: QosSpecs, specs: Mapping[str, str], consumer: str) -> None:
    qos.check(consumer, specs)
    row.specs, row.consumer = dict(specs), consumer


def _types_of(specs_id: str) -> sa.Select[tuple[VolumeType]]:
    return sa.select(VolumeType).where(VolumeType.qos_specs_id == specs_id)


def _release(session: orm.Session, specs_id: str) -> None:
    session.execute(sa.update(VolumeType).where(VolumeType.qos_specs_id == specs_id).values(qos_specs_id=None))


def _taken(name: str) -> errors.NotUnique:
    return errors.NotUnique(f"Qos specs {name[:80]} already exists.", resource="qos_specs", id=name)
