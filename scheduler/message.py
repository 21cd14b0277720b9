"""What the scheduler's messages have in common: a constraint that it does not know is refused, never dropped."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

from hostler import errors
from hostler.resources.server.specs import Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message(Spec):
    """Base of requests and choices; travels as a plain map (`to_wire`, `from_wire`)."""

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Self:
        """Return the message; raises Invalid that names the keys this scheduler does not know."""
        # Agents ignore what they do not know, so that they may be older. Here that would silently drop a
        # constraint, and place a server where its user forbade it.
        unknown = sorted(values.keys() - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise errors.Invalid(reason=f"{cls.__name__} has no field {', '.join(unknown)}.")
        return super().from_wire(values)
