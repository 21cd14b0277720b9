"""Makes audit events of requests: one hook around every face, so that no verb can be forgotten.

An event is made of each login, of every change in the identity API, of every change by an administrator, and of every
look at a server's console, with its outcome. What a request's line does not say comes by `note`: whom a login names,
which action a body holds. Nothing else of a body is looked at, so no secret can get into the trail.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import falcon

from hostler import ids
from hostler.audit import events
from hostler.audit.events import Initiator
from hostler.audit.trail import Trail
from hostler.context import RequestContext

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_VERBS: Final = {"POST": "created", "PUT": "updated", "PATCH": "updated", "DELETE": "deleted"}
_LOGIN: Final = "authenticate"
_GRANT: Final = "role_assignment"
_MEMBERSHIP: Final = "group_member"
_CONSOLE: Final = re.compile(r"os-get\w*Console\w*|remote-console")
_PARAMETER: Final = re.compile(r"\{.*?\}")


def note(request: falcon.Request, **said: str | None) -> None:
    """Say what only the handler knows of a request.

    `action`: the verb of a body that names one. `target`: the id of what is changed, where the path does not have it.
    `user`, `name`, `domain`, `credential`: whom a login names.
    """
    request.context.audit = {**getattr(request.context, "audit", {}), **said}


class Audit:
    """The middleware; it sees the answers of all others."""

    def __init__(self, trail: Trail, host: str) -> None:
        self._trail = trail
        self._host = host

    def process_resource(self, request: falcon.Request, _response: falcon.Response, _resource: Any,
                         params: dict[str, str]) -> None:
        """Keep what the path names."""
        request.context.path_ids = params

    def process_response(self, request: falcon.Request, response: falcon.Response, resource: Any, _ok: bool) -> None:
        """Put the request's event into the trail, if it makes one."""
        said = getattr(request.context, "audit", {})
        # Some published changes are GETs; their handlers name the action.
        if (request.method in _READS and "action" not in said) or resource is None or not self._trail.enabled:
            return
        caller: RequestContext | None = getattr(request.context, "caller", None)
        noun, verb = _what(request.uri_template or "", request.method)
        verb = said.get("action") or verb
        service = request.context.face.prefix.strip("/")
        if caller is None:
            if verb != _LOGIN or not said:
                return
        elif not (caller.is_admin or service == "identity" or _CONSOLE.fullmatch(verb) or _CONSOLE.fullmatch(noun)):
            return
        named = {name.removesuffix("_id"): value for name, value in request.context.path_ids.items()
                 if name.endswith("_id")}
        self._trail.put(events.make(
            service=service, noun=noun, verb=verb, status=response.status_code, path=request.path,
            initiator=_login(request, said) if caller is None else _caller(request, caller),
            target_id=said.get("target") or _last(named) or _last(request.context.path_ids) or _made(response),
            observer=self._host, beside=named if len(named) > 1 else {}))


@functools.lru_cache(maxsize=2000)
def _what(template: str, method: str) -> tuple[str, str]:
    """Return the noun and the verb: ("user", "created"), ("", "authenticate"). A body may name another verb."""
    parts = [part for part in template.split("/") if not _PARAMETER.search(part)]
    if parts[-1:] == ["action"]:
        parts.pop()
    noun = re.sub(r"(?<!s)s$", "", parts[-1]) if parts else ""
    verb = _VERBS.get(method, method.lower())
    if noun == "token" and method == "POST":
        return "", _LOGIN
    joins = _joins(parts)
    if joins is not None:
        return joins, "created" if method == "PUT" else verb
    return noun, "updated" if noun == "password" else verb


def _joins(parts: list[str]) -> str | None:
    """Return what a path is called whose last part is not what is made or deleted, but what something is joined to."""
    if parts[-1:] == ["roles"] and ("users" in parts or "groups" in parts):
        return _GRANT
    return _MEMBERSHIP if parts[-2:] == ["groups", "users"] else None


def _last(named: dict[str, str]) -> str | None:
    return next(reversed(named.values()), None)


def _made(response: falcon.Response) -> str | None:
    """Return the id of what the request created."""
    body = response.media
    if isinstance(body, dict) and "id" not in body and len(body) == 1:
        body = next(iter(body.values()))
    return str(body["id"]) if isinstance(body, dict) and "id" in body else None


def _login(request: falcon.Request, said: dict[str, str]) -> Initiator:
    return Initiator(id=said.get("user"), name=said.get("name"), domain=said.get("domain"),
                     credential_id=said.get("credential"), **_origin(request))


def _caller(request: falcon.Request, caller: RequestContext) -> Initiator:
    return Initiator(id=_bare(caller.user_id), name=caller.user_name, domain=_bare(caller.user_domain_id),
                     project_id=_bare(caller.project_id), **_origin(request))


def _bare(identifier: str | None) -> str | None:
    return identifier and ids.bare(identifier)


def _origin(request: falcon.Request) -> dict[str, str | None]:
    return {"address": request.remote_addr, "agent": request.user_agent, "request_id": request.context.request_id,
            "global_request_id": request.context.global_request_id}
