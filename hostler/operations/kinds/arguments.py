"""Arguments of an operation: a frozen dataclass per kind, checked when accepted and again when loaded.

Fields that have their default value are not stored, so a new field with a default needs no new version. A change of
what is stored does, and `upgrade` says how the map of the version before is read.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from hostler import errors

_SECRET: Final = "secret"
# Version 1 kept what an operation remembers while it runs (now notes) and its resource's id among the arguments.
_NOT_ARGUMENTS: Final = frozenset({
    "server_id", "wait_for_lock", "excluded_hosts", "build_failure", "excluded_backends", "create_failure", "left_on",
    "findings", "total", "unseen"})


def secret() -> Any:
    """Return the default of a field that must not outlive its operation (None, and erased at the end)."""
    return dataclasses.field(default=None, metadata={_SECRET: True}, repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Base of all, and the arguments of a kind that has none."""

    VERSION: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Raise InvalidArguments for a value that is not of its field's type."""
        for name, hint in _hints(type(self)).items():
            if not _matches(getattr(self, name), hint):
                raise errors.InvalidArguments(name=type(self).__name__, reason=f"{name} is no {hint}")

    def stored(self) -> dict[str, Any]:
        """Return what the database keeps; `load` reads it again."""
        values = {field: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {field.name: _to_json(value) for field, value in values.items()
                if _is_required(field) or value != _default(field)}

    @classmethod
    def load(cls, stored: Mapping[str, Any], version: int) -> Self:
        """Return the arguments that `stored` keeps; raises InvalidArguments for what is not these arguments."""
        if version > cls.VERSION:
            raise errors.NewerArguments(name=cls.__name__, version=version, known=cls.VERSION)
        found = dict(stored)
        for older in range(version, cls.VERSION):
            found = cls.upgrade(found, older)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(found.keys() - fields.keys())
        missing = sorted(name for name, field in fields.items()
                         if name not in found and _is_required(field))
        if unknown or missing:
            raise errors.InvalidArguments(name=cls.__name__, reason="; ".join(
                f"{what} {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", missing)) if names))
        hints = _hints(cls)
        return cls(**{name: _from_json(value, hints[name]) for name, value in found.items()})

    @classmethod
    def upgrade(cls, stored: dict[str, Any], version: int) -> dict[str, Any]:
        """Return what version `version` + 1 would have stored instead of `stored`."""
        return {key: value for key, value in stored.items() if version > 1 or key not in _NOT_ARGUMENTS}

    @classmethod
    def secrets(cls) -> frozenset[str]:
        """Return the names of the fields that are erased when the operation ends."""
        return frozenset(field.name for field in dataclasses.fields(cls) if field.metadata.get(_SECRET))


def _hints(cls: type[Arguments]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _matches(value: Any, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_matches(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple) and all(_matches(item, parts[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _matches(key, parts[0]) and _matches(item, parts[1]) for key, item in value.items())
    # bool is a subclass of int; a number field does not take one.
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _from_json(value: Any, hint: Any) -> Any:
    return tuple(value) if typing.get_origin(hint) is tuple and isinstance(value, list) else value
