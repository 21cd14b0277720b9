"""What the Compute API makes of a refusal of another service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hostler import errors


@contextlib.contextmanager
def conflicts_as(family: type[errors.HostlerError]) -> Iterator[None]:
    """Raise conflicts as `family`: other services' 409 is a 400 or a 403 here."""
    try:
        yield
    except errors.Conflict as error:
        raise family(str(error)) from error
