"""Fields: what a column holds, how a value of it is read, and who may ask about it.

Values are bounded here, before SQL sees them, so that every database gives the same answer: a value that no row can
have (an integer beyond the column's range, a text with NUL) matches nothing; a malformed one raises InvalidField.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from hostler import clock, errors, ids

Condition = sa.ColumnElement[bool]
UNMATCHABLE: Final = object()
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,400}", re.ASCII)
_TRUE: Final = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE: Final = frozenset({"0", "f", "false", "off", "n", "no"})
# Secrets, and records that only the services of this cloud read.
_HIDDEN: Final = frozenset({"password_hash", "secret_hash", "key_hash", "salt", "public_key", "user_data", "connection",
                            "connector", "provider", "volume_record", "arguments", "flow", "detail", "idempotency_key"})


def refuse(name: str, value: Any, reason: str) -> errors.InvalidField:
    """Return the error for a value that makes no sense."""
    return errors.InvalidField(field=name, value=str(value)[:80], reason=reason)


def truth(name: str, value: Any) -> bool:
    """Return what a yes-or-no value means; raises InvalidField."""
    lowered = str(value).strip().lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise refuse(name, value, "It must be true or false.")


def whole(name: str, value: Any) -> int:
    """Return a whole number of any size; raises InvalidField."""
    if not _WHOLE.fullmatch(str(value)):
        raise refuse(name, value, "It must be a whole number.")
    return int(value)


def moment(name: str, value: Any) -> dt.datetime:
    """Return the time an ISO 8601 text names; raises InvalidField.

    The `+` of an offset arrives as a space from clients that do not quote it.
    """
    if isinstance(value, dt.datetime):
        return value
    text = str(value)
    try:
        return clock.parse(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text)
    except (ValueError, OverflowError):
        raise refuse(name, value, "It must be a time as ISO 8601 writes it.") from None


def _text(_name: str, value: Any) -> Any:
    text = str(value)
    return UNMATCHABLE if "\x00" in text else text


def _identifier(name: str, value: Any) -> Any:
    return ids.canonical(str(value)) or _text(name, value)


def _address(name: str, value: Any) -> Any:
    try:
        return str(ipaddress.ip_network(value, strict=False) if "/" in value else ipaddress.ip_address(value))
    except ValueError:
        return _text(name, value)


def _interface(name: str, value: Any) -> Any:
    try:
        return ipaddress.ip_interface(value).with_prefixlen
    except ValueError:
        return _text(name, value)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of value: `read(name, value)` returns it as the column holds it. Integers are bounded by `bits`."""

    read: Callable[[str, Any], Any]
    bits: int | None = None

    def holds(self, value: Any) -> bool:
        """Return whether a column of this kind can hold a value that was read."""
        return self.bits is None or -(1 << self.bits - 1) <= value < 1 << self.bits - 1


TEXT: Final = Kind(_text)
ID: Final = Kind(_identifier)  # in either spelling
ADDRESS: Final = Kind(_address)  # whatever its spelling
INTERFACE: Final = Kind(_interface)  # a block that keeps its host bits
LOWER: Final = Kind(lambda name, value: _text(name, str(value).lower()))
INTEGER: Final = Kind(whole, 32)
BIG_INTEGER: Final = Kind(whole, 64)
BOOLEAN: Final = Kind(truth)
MOMENT: Final = Kind(moment)
DOCUMENT: Final = Kind(lambda _name, value: value)  # a JSON list or map


@dataclasses.dataclass(frozen=True, eq=False)
class Field:
    """A field of a resource. `action` is the policy that may see it (None: everybody who sees the row).

    `match` replaces the comparison with a column: it returns the condition for a list of wanted values.
    """

    column: Any = None
    kind: Kind = TEXT
    action: str | None = None
    match: Callable[[Sequence[str]], Condition] | None = None

    @property
    def order(self) -> Any:
        """The expression to sort by: databases do not compare booleans by size."""
        return sa.case((self.column, 1), else_=0) if self.kind is BOOLEAN else self.column


def kind_of(column: Any) -> Kind:
    """Return the kind of a model's column."""
    kind = column.type
    if isinstance(kind, sa.Boolean):
        return BOOLEAN
    if isinstance(kind, sa.Integer):
        return BIG_INTEGER if isinstance(kind, sa.BigInteger) else INTEGER
    if isinstance(kind, sa.DateTime):
        return MOMENT
    if isinstance(kind, sa.JSON):
        return DOCUMENT
    return ID if isinstance(kind, sa.String) and kind.length == 36 else TEXT


def of_columns(table: Any) -> dict[str, Field]:
    """Return a field for each column that anybody may ask about."""
    return {column.key: Field(column, kind_of(column)) for column in table.c if column.key not in _HIDDEN}


def constant(present: str, *spellings: str) -> Field:
    """Return a field that is the same in every row: asking for it keeps all rows or none."""
    return Field(match=lambda values: sa.true() if {present, *spellings} & set(values) else sa.false())
