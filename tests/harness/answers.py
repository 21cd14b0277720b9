"""Compares every answer of every api in this process with the published schemas, whichever client asked.

`checked_answers` (used by all tests with an api in this process) puts `CheckedAnswers` around each application that
`api.wsgi` builds; a test whose requests got a wrong answer fails at its end and says which.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from api import wsgi
from tests.harness import schemas

Headers = list[tuple[str, str]]
# Deviations that docs/api-support.md names, with their reason: the start of a problem's line.
ALLOWED: tuple[str, ...] = ()


class CheckedAnswers:
    """A WSGI application around another; remembers in `problems` what its answers get wrong."""

    def __init__(self, app: Any, problems: list[str]) -> None:
        self._app = app
        self._problems = problems

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request as the application does."""
        action = _action_of(environ)
        started: list[Any] = []

        def start(status: str, headers: Headers, *more: Any) -> Any:
            started[:] = [int(status.partition(" ")[0]), {name.lower(): value for name, value in headers}]
            return start_response(status, headers, *more)

        answer = self._app(environ, start)
        if isinstance(answer, list):
            self._check(environ, action, started[0], started[1], b"".join(answer))
        return answer

    def _check(self, environ: dict[str, Any], action: str | None, status: int, headers: dict[str, str],
               data: bytes) -> None:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        path = path.rstrip("/") or "/"
        version = _version_of(headers)
        problem = schemas.check(method, path, version, status, _body(headers, data), action)
        if problem is not None:
            at = f" at {version[0]}.{version[1]}" if version else ""
            line = f"{method} {path}{f' {action}' if action else ''}{at} → {status}: {problem}"
            if not line.startswith(ALLOWED):
                self._problems.append(line)


def _body(headers: dict[str, str], data: bytes) -> Any:
    if not data:
        return None
    return json.loads(data) if headers.get("content-type", "").startswith("application/json") else data.decode("utf-8",
                                                                                                           "replace")


def _version_of(headers: dict[str, str]) -> schemas.Version | None:
    words = headers.get("openstack-api-version", "").split()
    if len(words) != 2:
        return None
    major, minor = words[1].split(".")
    return int(major), int(minor)


def _action_of(environ: dict[str, Any]) -> str | None:
    """Return the member that names the action in the body of a POST …/action; the application can still read it."""
    if environ["REQUEST_METHOD"] != "POST" or not environ["PATH_INFO"].endswith("/action"):
        return None
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(data)
    try:
        body = json.loads(data)
    except ValueError:
        return None
    return next(iter(body), None) if isinstance(body, dict) else None


_PROBLEMS: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def answers_are_checked() -> Iterator[None]:
    """Wrap each application that is built from now on."""
    with pytest.MonkeyPatch.context() as patch:
        build = wsgi.build
        patch.setattr(wsgi, "build", lambda *parts: CheckedAnswers(build(*parts), _PROBLEMS))
        yield


@pytest.fixture(autouse=True)
def checked_answers(answers_are_checked: None) -> Iterator[None]:
    """Fail a test whose requests were answered otherwise than published."""
    _PROBLEMS.clear()
    yield
    problems = sorted(set(_PROBLEMS))
    assert not problems, "answers that are not as published:\n" + "\n".join(problems)
