"""Microversions: which one a request asks for, and what exists in which.

`negotiate` leaves `request.context.version` as a pair like (2, 96). What differs between versions stands in tables of
`Span`s (fields, parameters, methods), each saying since when and until when; handlers do not compare numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import falcon

from hostler import errors

Version = tuple[int, int]
Handler = TypeVar("Handler", bound=Callable[..., None])

MINIMUM: Final[Version] = (2, 1)
MAXIMUM: Final[Version] = (2, 96)
_ENDLESS: Final[Version] = (999, 0)
_NEW_HEADER = "OpenStack-API-Version"
_OLD_HEADER = "X-OpenStack-Nova-API-Version"
_PATTERN = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)")


def text_of(version: Version) -> str:
    """Return `2.96`."""
    return f"{version[0]}.{version[1]}"


@dataclasses.dataclass(frozen=True)
class Span:
    """The versions in which something exists, both ends included."""

    since: Version = MINIMUM
    until: Version = _ENDLESS

    def __contains__(self, version: Version) -> bool:
        return self.since <= version <= self.until


ALWAYS: Final = Span()


def since(minor: int) -> Span:
    """Return the span from 2.`minor` on."""
    return Span((2, minor))


def until(minor: int) -> Span:
    """Return the span up to and with 2.`minor`."""
    return Span(until=(2, minor))


def available(span: Span) -> Callable[[Handler], Handler]:
    """Decorate a handler that exists in `span` only; outside it the request gets 404."""

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def guarded(resource: Any, request: falcon.Request, response: falcon.Response, **params: Any) -> None:
            if request.context.version not in span:
                raise errors.NotFound("The resource could not be found.")
            handler(resource, request, response, **params)

        return guarded  # type: ignore[return-value]

    return decorate


def requested(request: falcon.Request) -> str | None:
    """Return the version text the headers ask of the compute service, or None."""
    combined = request.get_header(_NEW_HEADER)
    if combined:
        for part in combined.split(","):
            words = part.split()
            if len(words) == 2 and words[0].lower() == "compute":
                return words[1]
    return request.get_header(_OLD_HEADER)


def negotiate(request: falcon.Request, _response: falcon.Response) -> None:
    """Set `request.context.version`; raises 400 for a malformed and 406 for an unsupported version."""
    request.context.version = MINIMUM
    text = requested(request)
    if text is None:
        return
    text = text.strip()
    if text.lower() == "latest":
        request.context.version = MAXIMUM
        return
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise errors.Invalid(reason=f"API Version String {text[:64]} is of invalid format. Must be of format "
                                    "MajorNum.MinorNum.")
    version = (int(match[1]), int(match[2]))
    if not MINIMUM <= version <= MAXIMUM:
        raise falcon.HTTPNotAcceptable(
            title="Not Acceptable", description=f"Version {text} is not supported by the API. Minimum is "
                                                f"{text_of(MINIMUM)} and maximum is {text_of(MAXIMUM)}.")
    request.context.version = version


def name_version(request: falcon.Request, response: falcon.Response) -> None:
    """Say in the headers which version answered."""
    text = text_of(getattr(request.context, "version", MINIMUM))
    response.set_header(_NEW_HEADER, f"compute {text}")
    response.set_header(_OLD_HEADER, text)
    response.set_header("Vary", f"{_NEW_HEADER}, {_OLD_HEADER}")
