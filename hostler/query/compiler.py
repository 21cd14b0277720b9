"""Compiling an expression tree into one SQL condition; relations become EXISTS."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.sql.util import find_tables

from hostler import errors
from hostler.query import patterns
from hostler.query.expressions import And, Compare, Expression, Not, Operator, Or, Quantifier, Some
from hostler.query.fields import BOOLEAN, UNMATCHABLE, Condition, Field
from hostler.query.resources import Resource, resource_of

Allows = Callable[[str], bool]
_ORDERED: Final[Mapping[Operator, Callable[[Any, Any], Any]]] = {
    Operator.EQ: operator.eq, Operator.NE: operator.ne, Operator.LT: operator.lt, Operator.LE: operator.le,
    Operator.GT: operator.gt, Operator.GE: operator.ge}
_PARTS: Final[Mapping[Operator, str]] = {
    Operator.CONTAINS: "contains", Operator.STARTS: "startswith", Operator.ENDS: "endswith",
    Operator.ICONTAINS: "icontains", Operator.ISTARTS: "istartswith", Operator.IENDS: "iendswith"}
_NEGATIVE: Final = (Operator.NE, Operator.NOT_IN, Operator.NOT_LIKE)
# Compiling recurses, so a tree's depth is bounded well below Python's stack.
MAX_DEPTH: Final = 50


def everything_allowed(_action: str) -> bool:
    """Allow every guarded field."""
    return True


def condition_of(resource: Resource, expression: Expression, allows: Allows = everything_allowed, *,
                 depth: int = 0) -> Condition:
    """Return the condition on `resource`'s rows; `allows(action)` says which guarded fields the caller may use.

    Raises InvalidField for a field or relation that is not there for the caller, and for values that make no sense.
    """
    if depth > MAX_DEPTH:
        raise errors.Invalid(reason=f"A query nests at most {MAX_DEPTH} levels.")

    def below(part: Expression) -> Condition:
        return condition_of(resource, part, allows, depth=depth + 1)

    match expression:
        case And(parts):
            return sa.and_(sa.true(), *map(below, parts))
        case Or(parts):
            return sa.or_(sa.false(), *map(below, parts))
        case Not(part):
            return sa.not_(sa.func.coalesce(below(part), sa.false(), type_=sa.Boolean()))
        case Some(path, where, Quantifier.SOME):
            head, _, rest = path.partition(".")
            return _related(resource, head, Some(rest, where) if rest else where, allows, depth)
        case Some(path, where, quantifier):
            return sa.not_(below(Some(path, Not(where) if quantifier is Quantifier.EVERY else where)))
        case Compare(path, how, value):
            head, _, rest = path.partition(".")
            if rest:
                return _related(resource, head, Compare(rest, how, value), allows, depth)
            return _compared(_field(resource, head, allows), path, how, value)


def _field(resource: Resource, name: str, allows: Allows) -> Field:
    field = resource.fields.get(name)
    if field is None or (field.action is not None and not allows(field.action)):
        raise unknown(name)
    return field


def unknown(name: str) -> errors.InvalidField:
    """Return the error for a field that is not there for the caller."""
    return errors.InvalidField(f"'{name[:80]}' is not a valid attribute for filtering.", field=name[:80], value="",
                               reason="unknown field")


def _related(resource: Resource, name: str, where: Expression, allows: Allows, depth: int) -> Condition:
    """Return EXISTS over the related rows. Their tables get aliases, as the outer query may read them, too."""
    relation = resource.relations.get(name)
    if relation is None:
        raise unknown(name)
    target = resource_of(relation.target)
    source, inner = target.source, condition_of(target, where, allows, depth=depth + 1)
    aliases: dict[Any, Any] = {table: table.alias() for table in find_tables(source)}

    def aliased(element: Any, **_options: Any) -> Any:
        if isinstance(element, sa.Alias):
            return element  # an inner EXISTS's own
        if isinstance(element, sa.Column) and element.table in aliases:
            return aliases[element.table].c[element.key]
        return aliases.get(element) if isinstance(element, sa.Table) else None

    def moved(element: Any) -> Any:
        return visitors.replacement_traverse(element, {}, aliased)

    return sa.select(sa.literal(1)).select_from(moved(source)).where(
        moved(relation.remote) == relation.local, moved(inner)).exists()


def _compared(field: Field, name: str, how: Operator, value: Any) -> Condition:
    if how in (Operator.NULL, Operator.NOT_NULL) and field.match is None:
        empty: Condition = field.column.is_(None)
        return empty if how is Operator.NULL else sa.not_(empty)
    if field.match is not None:
        return _matched(field.match, name, how, value)
    if how in (Operator.IN, Operator.NOT_IN):
        return _among(field, name, how, value)
    if how is Operator.HAS:
        return _has(field.column, value)
    if how is Operator.MATCHES:
        return patterns.matching(field.column, name, str(value))
    if how in _ORDERED:
        return _ordered(field, name, how, value)
    if "\x00" in str(value):
        return _present(field, how)
    if how in _PARTS:
        found: Condition = getattr(field.column, _PARTS[how])(str(value), autoescape=True)
        return found
    pattern = str(value).replace("!", "!!")
    return field.column.not_like(pattern, escape="!") if how is Operator.NOT_LIKE else \
        field.column.like(pattern, escape="!")


def _present(field: Field, how: Operator) -> Condition:
    """Return what a value that no row has gives: nothing, or for a negative operator every row that has a value."""
    return field.column.is_not(None) if how in _NEGATIVE else sa.false()


def _matched(match: Callable[[Sequence[str]], Condition], name: str, how: Operator, value: Any) -> Condition:
    if how not in (Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN):
        raise errors.InvalidField(field=name, value=how.value, reason="It can only be compared for equality.")
    found = match([str(item) for item in (value if how in (Operator.IN, Operator.NOT_IN) else [value])])
    return sa.not_(found) if how in _NEGATIVE else found


def _among(field: Field, name: str, how: Operator, values: Sequence[Any]) -> Condition:
    read = [field.kind.read(name, value) for value in values]
    known = [value for value in read if value is not UNMATCHABLE and field.kind.holds(value)]
    if not known:
        return _present(field, how)
    if field.kind is BOOLEAN:
        found: Condition = sa.or_(*(field.column.is_(value) for value in set(known)))
        return sa.not_(found) if how is Operator.NOT_IN else found
    return field.column.not_in(known) if how is Operator.NOT_IN else field.column.in_(known)


def _ordered(field: Field, name: str, how: Operator, value: Any) -> Condition:
    known = field.kind.read(name, value)
    if known is UNMATCHABLE:
        return _present(field, how)
    if not field.kind.holds(known):
        beyond = known > 0
        holds = how is Operator.NE or how in ((Operator.LT, Operator.LE) if beyond else (Operator.GT, Operator.GE))
        return field.column.is_not(None) if holds else sa.false()
    if isinstance(known, bool):
        if how not in (Operator.EQ, Operator.NE):
            raise errors.InvalidField(field=name, value=how.value, reason="It can only be compared for equality.")
        return field.column.is_(known == (how is Operator.EQ))
    found: Condition = _ORDERED[how](field.column, known)
    return found


def _has(column: Any, value: Any) -> Condition:
    if isinstance(value, tuple):
        key, item = value
        # JSON paths cannot spell such keys on every database, so no map has them.
        if any(char in str(key) for char in '"\\\x00') or "\x00" in str(item):
            return sa.false()
        found: Condition = column[key].as_string() == str(item)
        return found
    # The list is text on every database; `replace` compares case, which LIKE does not everywhere. What comes before
    # an item tells its opening quote from one inside another item (which has no comma).
    document = sa.cast(column, sa.Text)
    spelt = json.dumps(str(value))
    return sa.or_(*(sa.func.replace(document, before + spelt, "") != document for before in ("[", ", ")))
