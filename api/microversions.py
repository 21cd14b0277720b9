"""Microversions, whatever the face: which one a request asks for, and what exists in which.

What differs between versions stands in tables of `Span`s (fields, parameters, methods), each saying since when and
until when; handlers do not compare numbers.
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

_FIRST: Final[Version] = (0, 0)
_ENDLESS: Final[Version] = (999, 0)
_HEADER = "OpenStack-API-Version"
_PATTERN = re.compile(r"([1-9]\d{0,5})\.([1-9]\d{0,5}|0)")


def text_of(version: Version) -> str:
    """Return `2.96`."""
    return f"{version[0]}.{version[1]}"


@dataclasses.dataclass(frozen=True)
class Span:
    """The versions in which something exists, both ends included."""

    since: Version = _FIRST
    until: Version = _ENDLESS

    def __contains__(self, version: Version) -> bool:
        return self.since <= version <= self.until


ALWAYS: Final = Span()


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


@dataclasses.dataclass(frozen=True)
class Negotiation:
    """The versions of one service, as its requests and answers name them in their headers."""

    service: str
    minimum: Version
    maximum: Version
    old_header: str | None = None  # of the time before the common header

    def requested(self, request: falcon.Request) -> str | None:
        """Return the version text the headers ask of this service, or None."""
        combined = request.get_header(_HEADER)
        if combined:
            for part in combined.split(","):
                words = part.split()
                if len(words) == 2 and words[0].lower() == self.service:
                    return words[1]
        return request.get_header(self.old_header) if self.old_header is not None else None

    def negotiate(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Set `request.context.version`, a pair like (2, 96).

        Raises 400 for a malformed and 406 for an unsupported version.
        """
        request.context.version = self.minimum
        text = self.requested(request)
        if text is None:
            return
        text = text.strip()
        if text.lower() == "latest":
            request.context.version = self.maximum
            return
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise errors.Invalid(reason=f"API Version String {text[:64]} is of invalid format. Must be of format "
                                        "MajorNum.MinorNum.")
        version = (int(match[1]), int(match[2]))
        if not self.minimum <= version <= self.maximum:
            raise falcon.HTTPNotAcceptable(
                title="Not Acceptable",
                description=f"Version {text} is not supported by the API. Minimum is {text_of(self.minimum)} and "
                            f"maximum is {text_of(self.maximum)}.")
        request.context.version = version

    def name_version(self, request: falcon.Request, response: falcon.Response) -> None:
        """Say in the headers which version answered."""
        text = text_of(getattr(request.context, "version", self.minimum))
        response.set_header(_HEADER, f"{self.service} {text}")
        names = [_HEADER]
        if self.old_header is not None:
            response.set_header(self.old_header, text)
            names.append(self.old_header)
        response.set_header("Vary", ", ".join(names))
