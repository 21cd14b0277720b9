"""One published action on a server: its argument, the microversions that know it, and the verb behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import falcon

from api.openstack.compute.microversion import ALWAYS, Span
from api.services import Services
from hostler.context import RequestContext

Act = Callable[[Services, RequestContext, str, Any], Any]
Answer = Callable[[Services, falcon.Request, falcon.Response, str, Any], None]


@dataclasses.dataclass(frozen=True)
class Action:
    """What one action takes and does; an answer that is not None is the response's body (with 200), without one the
    response has `status`.

    `answer` does it and writes the response itself, where that depends on the request.
    """

    act: Act | None = None
    argument: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    span: Span = ALWAYS
    answer: Answer | None = None
    status: int = 202


# What a microversion changed has a row for each span, in any order.
Rows = Action | tuple[Action, ...]
