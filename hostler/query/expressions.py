"""The expression tree that every face's query language is parsed into.

A path names a field (`size_gib`) or leads to it through relations (`volume_attachments.volume.size_gib`): a row matches
when it has a related row that does. Conditions that one and the same related row must meet go into one `Some`.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final


class Operator(enum.Enum):
    """How a field is compared. A null meets `NULL` only; `Not` is two-valued, so it also returns the nulls."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    NOT_IN = "not in"
    NULL = "is null"
    NOT_NULL = "is not null"
    LIKE = "like"  # SQL's % and _
    NOT_LIKE = "not like"
    CONTAINS = "contains"
    STARTS = "starts with"
    ENDS = "ends with"
    ICONTAINS = "contains, whatever the case"
    ISTARTS = "starts with, whatever the case"
    IENDS = "ends with, whatever the case"
    MATCHES = "matches"  # a regular expression (`patterns`)
    HAS = "has"  # a list holds the item, a map the (key, value) pair


class Quantifier(enum.Enum):
    """How many of the related rows must match; `EVERY` of no rows is true."""

    SOME = "some"
    EVERY = "every"
    NONE = "none"


@dataclasses.dataclass(frozen=True)
class Compare:
    """A field compared with a value, or with a sequence of values for IN and NOT_IN."""

    path: str
    operator: Operator
    value: Any = None


@dataclasses.dataclass(frozen=True)
class And:
    """All parts hold; no parts: every row."""

    parts: tuple[Expression, ...] = ()


@dataclasses.dataclass(frozen=True)
class Or:
    """One of the parts holds; no parts: no row."""

    parts: tuple[Expression, ...] = ()


@dataclasses.dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Expression


@dataclasses.dataclass(frozen=True)
class Some:
    """Related rows meet `where`; `relation` may be a path."""

    relation: str
    where: Expression = And()
    quantifier: Quantifier = Quantifier.SOME


Expression = Compare | And | Or | Not | Some
EVERYTHING: Final = And()
NOTHING: Final = Or()
