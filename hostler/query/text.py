"""What the spellings of OpenStack's lists have in common: a table of published filters, each a maker of a condition.

>>> where({"name": equal("name"), "metadata": items("metadata")}, {"name": ["web"]})
And(parts=(Compare(path='name', operator=<Operator.IN: 'in'>, value=['web']),))
"""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hostler import errors
from hostler.query.expressions import And, Compare, Expression, Not, Operator, Or, Some
from hostler.query.fields import moment, refuse

Filter = Callable[[str, Sequence[str]], Expression]
_COMPARISONS: Final = {"gt": Operator.GT, "gte": Operator.GE, "eq": Operator.EQ, "neq": Operator.NE,
                       "lt": Operator.LT, "lte": Operator.LE}
_KEY: Final = re.compile(r"[a-zA-Z0-9-_:. /]{1,255}")
_LONGEST_MAP: Final = 4096


def where(filters: Mapping[str, Filter], found: Mapping[str, Sequence[str]]) -> And:
    """Return what all of the filters found ask for; each comes with its values. Raises Invalid."""
    _check_span(found)
    return And(tuple(filters[name](name, values) for name, values in found.items()))


def _check_span(found: Mapping[str, Sequence[str]]) -> None:
    """Raise Invalid when a list of changes ends before it begins."""
    begin, end = found.get("changes-since"), found.get("changes-before")
    if begin and end and moment("changes-before", end[-1]) < moment("changes-since", begin[-1]):
        raise errors.Invalid(reason="The value of changes-since must be less than or equal to changes-before.")


def equal(path: str) -> Filter:
    """One of the values."""
    return lambda _name, values: Compare(path, Operator.IN, list(values))


def last(path: str) -> Filter:
    """The last value given."""
    return lambda _name, values: Compare(path, Operator.EQ, values[-1])


def any_of(path: str, operator: Operator) -> Filter:
    """A comparison with one of the values."""
    return lambda _name, values: Or(tuple(Compare(path, operator, value) for value in values))


def since(path: str) -> Filter:
    """A time at or after all of the values."""
    return lambda name, values: And(tuple(Compare(path, Operator.GE, moment(name, value)) for value in values))


def before(path: str) -> Filter:
    """A time at or before all of the values, each of which means its whole second if it has no fraction: that is all
    that clients are shown."""
    return lambda name, values: And(tuple(_compared_seconds(path, name, f"lte:{value}") for value in values))


def within_second(path: str) -> Filter:
    """A time within the second that the value names."""
    def make(name: str, values: Sequence[str]) -> Expression:
        second = moment(name, values[-1]).replace(microsecond=0)
        return And((Compare(path, Operator.GE, second), Compare(path, Operator.LT, _plus(name, second, seconds=1))))
    return make


def times(path: str) -> Filter:
    """`gt:2026-01-31T12:00:00,lte:…`: all comparisons hold."""
    def make(name: str, values: Sequence[str]) -> Expression:
        return And(tuple(_compared(path, name, term) for term in values[-1].split(",")))
    return make


def _compared(path: str, name: str, term: str) -> Expression:
    word, _, text = term.strip().partition(":")
    if word not in _COMPARISONS:
        raise refuse(name, term, f"It must be one of {', '.join(_COMPARISONS)}, a colon, and a time.")
    return Compare(path, _COMPARISONS[word], moment(name, text))


def seconds(path: str) -> Filter:
    """`gt:2026-01-31T12:00:00Z`, or a time to equal. A time without fraction means its whole second, which is all that
    clients know of it."""
    def make(name: str, values: Sequence[str]) -> Expression:
        return And(tuple(_compared_seconds(path, name, value) for value in values))
    return make


def _compared_seconds(path: str, name: str, value: str) -> Expression:
    word, separator, text = value.partition(":")
    if not separator or word not in _COMPARISONS:
        word, text = "eq", value
    begin = moment(name, text)
    end = _plus(name, begin, **({"microseconds": 1} if begin.microsecond else {"seconds": 1}))
    during = And((Compare(path, Operator.GE, begin), Compare(path, Operator.LT, end)))
    meanings: dict[str, Expression] = {
        "gt": Compare(path, Operator.GE, end), "gte": Compare(path, Operator.GE, begin), "eq": during,
        "neq": Not(during), "lt": Compare(path, Operator.LT, begin), "lte": Compare(path, Operator.LT, end)}
    return meanings[word]


def _plus(name: str, value: dt.datetime, **span: float) -> dt.datetime:
    try:
        return value + dt.timedelta(**span)
    except OverflowError:
        raise refuse(name, value, "It is out of range.") from None


def items(path: str) -> Filter:
    """Every item of a map spelt as clients do (`{'key': 'value'}`) is in the field's."""
    def make(name: str, values: Sequence[str]) -> Expression:
        wanted = read_map(name, values[-1])
        return And(tuple(Compare(path, Operator.HAS, (key, value)) if _KEY.fullmatch(key) else Or()
                         for key, value in wanted.items()))
    return make


def read_map(name: str, text: str) -> dict[str, str]:
    """Return the map that a text spells; raises InvalidField."""
    try:
        found = ast.literal_eval(text[:_LONGEST_MAP])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise refuse(name, text, "It must be a map like {'key': 'value'}.")
    return {str(key): value for key, value in found.items()}


def tags(has: Callable[[str], Expression], *, separator: str = ",") -> dict[str, Filter]:
    """Return the four published filters by tags; `has` says that a row has one."""
    def listed(values: Sequence[str]) -> tuple[Expression, ...]:
        return tuple(has(tag) for value in values for tag in value.split(separator) if tag)

    return {"tags": lambda _name, values: And(listed(values)), "tags-any": lambda _name, values: Or(listed(values)),
            "not-tags": lambda _name, values: Not(And(listed(values))),
            "not-tags-any": lambda _name, values: Not(Or(listed(values)))}


def listed_tag(tag: str) -> Expression:
    """A tag in the list that is the row's field `tags`."""
    return Compare("tags", Operator.HAS, tag)


def tag_row(relation: str) -> Callable[[str], Expression]:
    """A tag that is a row of its own."""
    return lambda tag: Some(relation, Compare("tag", Operator.EQ, tag))


def fixed(expression: Any) -> Filter:
    """The same condition, whatever the values."""
    return lambda _name, _values: expression
