"""Removes a project, a user or a domain with its dependents, by the delete rules that the models declare.

A project that still holds servers, networks, images and so on is not removed: the refusal names and counts them. Rows
that are only kept for the record (those with `deleted_at`) are removed too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import (
    Base,
    FlavorAccess,
    Group,
    GroupRoleAssignment,
    ImageMember,
    Project,
    QuotaLimit,
    RbacPolicy,
    RoleAssignment,
    User,
)

# What has no use without its project is removed with it.
_GOES_ALONG = frozenset({"application_credentials", "rbac_policies", "security_groups", "security_group_rules",
                         "server_groups"})
# Tables that name a project without a foreign key.
_LOOSE = (FlavorAccess, ImageMember, QuotaLimit)


def holdings(session: orm.Session, project_id: str) -> dict[str, int]:
    """Return table name → number of living resources for every kind the project holds some of."""
    held = {}
    for table, column in _references(Base.metadata.tables["projects"]):
        if column.info.get("relation") != "parent" or table.name in _GOES_ALONG:
            continue
        query = sa.select(sa.func.count()).select_from(table).where(column == project_id)
        if "deleted_at" in table.c:
            query = query.where(table.c.deleted_at.is_(None))
        count = session.execute(query).scalar_one()
        if count:
            held[table.name] = count
    return held


def remove_project(session: orm.Session, project_id: str) -> None:
    """Remove a project whose row the caller has locked; raises InUse when it holds anything."""
    held = holdings(session, project_id)
    if held:
        named = ", ".join(f"{count} {table}" for table, count in sorted(held.items()))
        raise errors.InUse(resource="Project", id=project_id, reason=f"it still holds {named}; delete them first.")
    for model in _LOOSE:
        session.execute(sa.delete(model).where(model.project_id == project_id))
    session.execute(sa.delete(RbacPolicy).where(RbacPolicy.target == project_id))
    session.execute(sa.update(User).where(User.default_project_id == project_id).values(default_project_id=None))
    remove_assignments(session, "project", project_id)
    remove_rows(session, Base.metadata.tables["projects"], [project_id])


def remove_domain(session: orm.Session, domain_id: str) -> None:
    """Remove a domain; raises InUse when projects, users or groups are in it."""
    for noun, model in (("projects", Project), ("users", User), ("groups", Group)):
        count = session.execute(sa.select(sa.func.count()).select_from(model)
                                .where(model.domain_id == domain_id)).scalar_one()
        if count:
            raise errors.InUse(resource="Domain", id=domain_id,
                               reason=f"it still holds {count} {noun}; delete them first.")
    remove_assignments(session, "domain", domain_id)
    remove_rows(session, Base.metadata.tables["domains"], [domain_id])


def remove_assignments(session: orm.Session, target_type: str, target_id: str) -> None:
    """Remove everybody's roles on a project or domain."""
    for model in (RoleAssignment, GroupRoleAssignment):
        session.execute(sa.delete(model).where(model.target_type == target_type, model.target_id == target_id))


def remove_rows(session: orm.Session, table: sa.Table, row_ids: Sequence[str]) -> None:
    """Delete rows by id and apply the delete rules of what refers to them; raises InUse where that is `restrict`."""
    if not row_ids:
        return
    for child, column in _references(table):
        rule = column.info.get("on_delete")
        refers = column.in_(row_ids)
        if child is table:
            # What goes together may refer to each other; not every database waits for a statement's end to look.
            session.execute(sa.update(table).where(refers, table.c.id.in_(row_ids)).values({column.name: None}))
        if rule == "clear":
            session.execute(sa.update(child).where(refers).values({column.name: None}))
        elif rule != "cascade":
            if session.execute(sa.select(sa.literal(1)).select_from(child).where(refers).limit(1)).scalar():
                raise errors.InUse(resource=table.name, id=row_ids[0], reason=f"{child.name} refer to it.")
        elif [key.name for key in child.primary_key] == ["id"]:
            remove_rows(session, child, session.execute(sa.select(child.c.id).where(refers)).scalars().all())
        else:
            session.execute(sa.delete(child).where(refers))
    session.execute(sa.delete(RbacPolicy).where(RbacPolicy.object_id.in_(row_ids)))  # they have no foreign key
    session.execute(sa.delete(table).where(table.c.id.in_(row_ids)))


def _references(table: sa.Table) -> Iterator[tuple[sa.Table, sa.Column[str]]]:
    """Yield every table and column that refers to `table`."""
    for child in Base.metadata.sorted_tables[::-1]:
        for key in child.foreign_keys:
            if key.column.table is table:
                yield child, key.parent
