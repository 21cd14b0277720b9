"""Flavors and volume types as what they have in common: offerings with extra specs, public or for some projects.

Each noun declares one `Offering`; its own verbs are beside it (`catalog.flavors`, `volume.types`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Flavor, Project, VolumeType

Row = TypeVar("Row", Flavor, VolumeType)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offering(Generic[Row]):
    """One noun: its model, the column of the id that users see, and the model of access, whose column `owner` refers
    to it.

    `specs` begins the names of the policies of extra specs; `listing`, `adding` and `removing` are those of access.
    `taken` is the message for access that a project has already. `read_id` returns an id as it is stored.
    """

    noun: str
    model: type[Row]
    key: Any
    access: Any
    owner: Any
    specs: str
    listing: str
    adding: str
    removing: str
    taken: str
    read_id: Callable[[str], str] = str

    @property
    def _resource(self) -> str:
        return self.noun.replace(" ", "_")

    def not_found(self, row_id: str) -> errors.NotFound:
        """Return the error for an offering that does not exist for the caller."""
        return errors.NotFound(f"{self.noun.capitalize()} {row_id} could not be found.", resource=self._resource,
                               id=row_id)

    def visible(self, context: RequestContext) -> sa.ColumnElement[bool]:
        """Return the condition of the offerings that the caller's project may use."""
        return sa.or_(self.model.is_public, sa.exists().where(
            self.owner == self.model.id, self.access.project_id == context.project_id))

    def scope(self, context: RequestContext, is_public: bool | None) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of a list of what is public or not (None: both); others than administrators see what
        they may use."""
        if context.is_admin and is_public is None:
            return []
        if context.is_admin and not is_public:
            return [self.model.is_public.is_(False)]
        return [self.visible(context)]

    def find(self, session: orm.Session, context: RequestContext, row_id: str) -> Row:
        """Return an offering by the id users see; raises NotFound when the caller may not use it."""
        query = sa.select(self.model).where(self.key == self.read_id(row_id))
        if not context.is_admin:
            query = query.where(self.visible(context))
        row = session.scalars(query).one_or_none()
        if row is None:
            raise self.not_found(row_id)
        return row

    def hold(self, services: Services, session: orm.Session, context: RequestContext, row_id: str) -> Row:
        """As `find`, and lock the row until the transaction ends."""
        row = self.find(session, context, row_id)
        services.db.lock_row(session, self.model, self.model.id == row.id)
        session.refresh(row)
        return row

    def extra_specs(self, services: Services, context: RequestContext, row_id: str, verb: str) -> dict[str, Any]:
        """Return the extra specs; `verb` is index or show."""
        services.policy.check(context, self.specs + verb)
        with services.db.reading() as session:
            return self.find(session, context, row_id).extra_specs

    def edit_extra_specs(self, services: Services, context: RequestContext, row_id: str, verb: str, *,
                         put: Mapping[str, str] | None = None, drop: str | None = None) -> None:
        """Merge `put` into the extra specs, or take `drop` out; `verb` is create, update or delete. Raises NotFound."""
        services.policy.check(context, self.specs + verb)

        def work(session: orm.Session) -> None:
            row = self.hold(services, session, context, row_id)
            specs = {**row.extra_specs, **(put or {})}
            if drop is not None and specs.pop(drop, None) is None:
                raise self.spec_not_found(row_id, drop)
            row.extra_specs = specs

        services.db.write(work)

    def spec_not_found(self, row_id: str, key: str) -> errors.NotFound:
        """Return the error for an extra spec that is not there."""
        return errors.NotFound(f"{self.noun.title()} {row_id} has no extra specs with key {key}.",
                               resource="extra_spec", id=key)

    def access_list(self, services: Services, context: RequestContext, row_id: str) -> Sequence[str]:
        """Return the projects that may use an offering; raises NotFound for a public one."""
        services.policy.check(context, self.listing)
        with services.db.reading() as session:
            row = self.find(session, context, row_id)
            if row.is_public:
                raise errors.NotFound(f"Access list not available for public {self.noun}s.", resource=self._resource,
                                      id=row_id)
            return self._projects(session, row)

    def _projects(self, session: orm.Session, row: Row) -> Sequence[str]:
        return session.scalars(sa.select(self.access.project_id).where(self.owner == row.id)
                               .order_by(self.access.project_id)).all()

    def grant(self, services: Services, context: RequestContext, row_id: str, project: str, *,
              public: str | None) -> Sequence[str]:
        """Let a project use an offering; returns all that may.

        Raises Invalid for an unknown project, Conflict when it may already, or when everybody may: `public` says so.
        """
        services.policy.check(context, self.adding)

        def work(session: orm.Session) -> Sequence[str]:
            row = self._private(session, context, row_id, public)
            project_id = _known_project(session, project)
            if session.get(self.access, (row.id, project_id)) is not None:
                raise errors.Conflict(reason=self.taken.format(id=row_id, project=project))
            session.add(self.access(**{self.owner.key: row.id, "project_id": project_id}))
            session.flush()
            return self._projects(session, row)

        return services.db.write(work)

    def revoke(self, services: Services, context: RequestContext, row_id: str, project: str, *,
               public: str | None) -> Sequence[str]:
        """Take an offering away from a project; raises NotFound when it had no access, and as `grant` does."""
        services.policy.check(context, self.removing)

        def work(session: orm.Session) -> Sequence[str]:
            row = self._private(session, context, row_id, public)
            access = session.get(self.access, (row.id, _known_project(session, project)))
            if access is None:
                raise errors.NotFound(f"{self.noun.capitalize()} access not found for {row_id} / {project} "
                                      "combination.", resource=f"{self._resource}_access", id=row_id)
            session.delete(access)
            session.flush()
            return self._projects(session, row)

        return services.db.write(work)

    def _private(self, session: orm.Session, context: RequestContext, row_id: str, public: str | None) -> Row:
        row = self.find(session, context, row_id)
        if row.is_public and public is not None:
            raise errors.Conflict(reason=public)
        return row


def _known_project(session: orm.Session, project: str) -> str:
    project_id = ids.canonical(project)
    if project_id is None or session.get(Project, project_id) is None:
        raise errors.Invalid(reason=f"Project ID {project[:80]} is not a valid project.")
    return project_id
