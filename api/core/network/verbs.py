"""List, show, create, change and delete: the transactions of the Network API's nouns.

`Verbs` runs in one transaction what a noun says of each, and wakes the operations that take it to the hosts.
`PlainRows` is for nouns whose resources are one row each: how a request becomes columns, what the quota is called, what
keeps a row from being deleted, and which hosts follow. What may be shared is shown with `shared`, and takes it from
administrators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import exc, orm

from api.core.network.scope import (
    WORDS,
    Caller,
    Result,
    claim_quota,
    find,
    find_to_change,
    owner_of_new,
    set_changed,
    visible,
    with_shared,
)
from hostler import errors, ids
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import Resource
from hostler.resources.network import sharing

Values = Mapping[str, Any]
Row = TypeVar("Row")
Shown = TypeVar("Shown")


@dataclasses.dataclass(frozen=True)
class Record:
    """A row, whether it is shared with the caller, and what else is shown of it."""

    row: Any
    shared: bool = False
    extra: Any = None


def as_given(_session: orm.Session, _caller: Caller, _row: Any, values: Values) -> Values:
    """Return the values of a request as they are: they need no check."""
    return values


def _nothing(_session: orm.Session, _caller: Caller, _row: Any) -> None:
    """What nothing depends on may go."""


def _nobody(_session: orm.Session, _caller: Caller, _row: Any) -> list[str]:
    return []


def _as_it_is(_caller: Caller, resource: Resource) -> Resource:
    return resource


def each(add: Callable[[orm.Session, Caller, Values], Row]
         ) -> Callable[[orm.Session, Caller, Sequence[Values]], tuple[list[Row], list[str]]]:
    """Return what adds all rows one by one, where no host follows."""
    return lambda session, caller, bodies: ([add(session, caller, values) for values in bodies], [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verbs(Generic[Row, Shown]):
    """The verbs of one noun.

    `add` writes new rows; `change` and `remove` get the row, held, check the right to it, and work on it. They return
    the operations that take it to the hosts, and raise what is wrong with the request. `records` returns rows with what
    is shown beside them. `twin` is the error for a row that breaks a constraint, `in_use` for one that another request
    began to use.
    """

    resource: Resource
    records: Callable[[orm.Session, Caller, Sequence[Row]], Sequence[Shown]]
    add: Callable[[orm.Session, Caller, Sequence[Values]], tuple[Sequence[Row], list[str]]]
    change: Callable[[orm.Session, Caller, Row, Values], list[str]] | None = None
    remove: Callable[[orm.Session, Caller, Row], list[str]]
    listed: Callable[[Caller, Resource], Resource] = _as_it_is
    before_list: Callable[[Caller, Query], None] | None = None
    twin: Callable[[], Exception] | None = None
    in_use: Callable[[str], Exception] | None = None

    def list_page(self, caller: Caller, query: Query) -> Page:
        """Return a page of what the caller sees, each as `records` shows it."""
        if self.before_list is not None:
            self.before_list(caller, query)
        with caller.services.db.reading() as session:
            page = read_page(session, self.listed(caller, self.resource), query,
                             [visible(caller, self.resource.model)], allows=caller.allows)
            return dataclasses.replace(page, rows=self.records(session, caller, page.rows))

    def show(self, caller: Caller, identifier: str) -> Shown:
        """Return one; raises NotFound."""
        with caller.services.db.reading() as session:
            return self.records(session, caller, [find(session, caller, self.resource.model, identifier)])[0]

    def create(self, caller: Caller, bodies: Sequence[Values]) -> Sequence[Shown]:
        """Write new rows, all or none; hosts follow."""
        def work(session: orm.Session) -> tuple[Sequence[Shown], list[str]]:
            rows, operation_ids = self.add(session, caller, bodies)
            return self.records(session, caller, rows), operation_ids
        return self._write(caller, work)

    def update(self, caller: Caller, identifier: str, values: Values) -> Shown:
        """Change one; hosts follow. Raises NotFound, and Invalid for what never changes."""
        change = self.change
        if change is None:
            raise errors.Invalid(reason=f"A {WORDS[self.resource.model]} cannot be changed.")

        def work(session: orm.Session) -> tuple[Shown, list[str]]:
            row: Any = find_to_change(session, caller, self.resource.model, identifier)
            operation_ids = change(session, caller, row, values)
            return self.records(session, caller, [row])[0], operation_ids
        return self._write(caller, work)

    def delete(self, caller: Caller, identifier: str) -> None:
        """Delete one; hosts follow. Raises NotFound and InUse."""
        def work(session: orm.Session) -> tuple[None, list[str]]:
            row: Any = find_to_change(session, caller, self.resource.model, identifier)
            return None, self.remove(session, caller, row)
        try:
            caller.write(work)
        except exc.IntegrityError as error:  # a concurrent request began to use it
            raise (self.in_use or self._in_use)(identifier) from error

    def _write(self, caller: Caller, work: Callable[[orm.Session], tuple[Result, list[str]]]) -> Result:
        try:
            return caller.write(work)
        except exc.IntegrityError as error:
            if self.twin is None:
                raise
            raise self.twin() from error

    def _in_use(self, identifier: str) -> errors.InUse:
        word = WORDS[self.resource.model]
        return errors.InUse(f"{word[0].upper()}{word[1:]} {identifier} is in use.", resource=word, id=identifier,
                            reason="a concurrent request")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainRows:
    """A noun whose resources are one row each.

    `draft` returns the columns of a new row (it gets the row's project), `amend` those that a change sets; both raise
    what is wrong with the request. `release` raises InUse for a row that must stay, and deletes what goes along.
    `notify` writes the operations that take a change or deletion to the hosts. `extra` returns what else is shown, by
    row id.
    """

    resource: Resource
    action: str
    draft: Callable[[orm.Session, Caller, str, Values], Values]
    amend: Callable[[orm.Session, Caller, Any, Values], Values] = as_given
    quota: str | None = None
    twin: str | None = None
    stays_shared: bool = False  # what is shared with everybody cannot be taken back
    release: Callable[[orm.Session, Caller, Any], None] = _nothing
    notify: Callable[[orm.Session, Caller, Any], list[str]] = _nobody
    extra: Callable[[orm.Session, Sequence[Any]], Mapping[str, Any]] = lambda _session, _rows: {}

    @property
    def _model(self) -> Any:
        return self.resource.model

    @property
    def _shareable(self) -> bool:
        return self._model in sharing.TYPES.values()

    @property
    def verbs(self) -> Verbs[Any, Record]:
        """The verbs of the noun."""
        return Verbs(resource=self.resource, records=self._records, add=each(self._create), change=self._change,
                     remove=self._remove, twin=self._twin if self.twin is not None else None,
                     listed=with_shared if self._shareable else _as_it_is)

    def _change(self, session: orm.Session, caller: Caller, row: Any, values: Values) -> list[str]:
        caller.check(f"update_{self.action}", row.project_id)
        shared, wanted = self._take_shared(caller, "update", row.project_id, values)
        changed = set_changed(row, self.amend(session, caller, row, wanted))
        if shared is not None and self._share(session, row, shared) and not changed:
            row.revision += 1
        session.flush()
        return self.notify(session, caller, row) if changed else []

    def _remove(self, session: orm.Session, caller: Caller, row: Any) -> list[str]:
        caller.check(f"delete_{self.action}", row.project_id)
        self.release(session, caller, row)
        operation_ids = self.notify(session, caller, row)
        if self._shareable:
            sharing.forget(session, [row.id])
        session.delete(row)
        session.flush()
        return operation_ids

    def _create(self, session: orm.Session, caller: Caller, values: Values) -> Any:
        project_id = owner_of_new(session, caller, values)
        caller.check(f"create_{self.action}", project_id)
        shared, wanted = self._take_shared(caller, "create", project_id, values)
        columns = {**self.draft(session, caller, project_id, wanted), "project_id": project_id}
        if self.quota is not None:
            claim_quota(caller, session, project_id, self.quota)
        row = self._model(**{"id": ids.new_id(), **columns})
        session.add(row)
        session.flush()
        if shared:
            sharing.set_shared(session, row, True)
            session.flush()
        return row

    def _take_shared(self, caller: Caller, verb: str, project_id: str, values: Values) -> tuple[bool | None, Values]:
        """Return what a request says about sharing, after a check of the right to, and the rest of it."""
        if not self._shareable or "shared" not in values:
            return None, values
        if values["shared"] or verb == "update":
            caller.check(f"{verb}_{self.action}:shared", project_id)
        return bool(values["shared"]), {name: value for name, value in values.items() if name != "shared"}

    def _share(self, session: orm.Session, row: Any, shared: bool) -> bool:
        changed = sharing.set_shared(session, row, shared)
        if changed and not shared and self.stays_shared:
            word = WORDS[self._model]
            raise errors.Invalid(f"Unable to update {word} {row.id} : Shared {word} can't be unshared",
                                 resource=f"shared {word}", id=row.id, reason="shared")
        lost = sharing.dependents(session, row, sharing.EVERYBODY) if changed and not shared else ()
        if lost:
            word = WORDS[self._model]
            raise errors.InUse(f"Unable to reconfigure sharing settings for {word} {row.id}. Other projects use it.",
                               resource=f"shared {word}", id=row.id, reason="other projects")
        return changed

    def _records(self, session: orm.Session, caller: Caller, rows: Sequence[Any]) -> list[Record]:
        shared = sharing.shared_among(session, [row.id for row in rows],
                                      caller.project_id) if self._shareable else frozenset()
        extra = self.extra(session, rows)
        return [Record(row, row.id in shared, extra.get(row.id)) for row in rows]

    def _twin(self) -> errors.NotUnique:
        return errors.NotUnique(self.twin, resource=WORDS[self._model], id="")
