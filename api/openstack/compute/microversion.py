"""The microversions of the Compute API; `request.context.version` is a pair like (2, 96)."""

from __future__ import annotations

from typing import Final

from api.microversions import ALWAYS, Negotiation, Span, Version, available, text_of

__all__ = ["ALWAYS", "MAXIMUM", "MINIMUM", "PROXIES", "Span", "Version", "available", "name_version", "negotiate",
           "since", "text_of", "until"]

MINIMUM: Final[Version] = (2, 1)
MAXIMUM: Final[Version] = (2, 96)
_NEGOTIATION = Negotiation("compute", MINIMUM, MAXIMUM, "X-OpenStack-Nova-API-Version")
negotiate = _NEGOTIATION.negotiate
name_version = _NEGOTIATION.name_version


def since(minor: int) -> Span:
    """Return the span from 2.`minor` on."""
    return Span((2, minor))


def until(minor: int) -> Span:
    """Return the span up to and with 2.`minor`."""
    return Span(until=(2, minor))


PROXIES: Final = until(35)  # the views of what other services own
