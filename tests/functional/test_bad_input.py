"""Every route of every face is sent nonsense: the answer is a 4xx in the face's own shape, never a 500."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from falcon import inspect

from api import wsgi
from api.service import FACES
from hostler import ids
from tests.harness.client import Client
from tests.harness.inprocess import Cloud

NAMES = ("x", ids.new_id(), "0" * 32, "n" * 300, "%00", "a%2Fb", "-1", "é", "None")
BODIES: tuple[Any, ...] = (
    b"{", b"[]", b"null", b'"text"', b"{}", b'{"unknown": {}}', b'{"a": [[[[[[]]]]]]}', b"\xff\xfe", b"",
)
# What a body's one key may hold for it to reach validation.
VALUES: tuple[Any, ...] = (None, 1, "text", [], {}, {"name": 1}, {"name": "n" * 300}, {"name": None},
                           {"unknown": True}, {"name": "\x00"}, {"name": {"a": "b"}})
QUERIES = ("limit=-1", "limit=x", "marker=nowhere", "sort_key=nothing&sort_dir=sideways", "changes-since=yesterday",
           "limit=99999999999999999999", "name=%00", "fields=nothing", "unknown=1&unknown=2", "sort=x:y",
           "all_tenants=maybe", "id=in:", "created_at=gt:yesterday", "is_public=maybe", "name=" + "n" * 3000)


def _routes(cloud: Cloud) -> Iterator[tuple[str, str, bool]]:
    app = wsgi.build(cloud.api.services, FACES)
    open_to_all: dict[str, Any] = {face.prefix + path: getattr(resource, "public", False)
                                   for face in FACES for path, resource in face.routes(cloud.api.services)}
    for route in inspect.inspect_routes(app):
        for method in route.methods:
            if method.method in ("GET", "POST", "PUT", "PATCH", "DELETE") and not method.internal:
                public = open_to_all.get(route.path, False)
                yield method.method, route.path, public is True or method.method in (public or ())


@pytest.fixture(scope="module")
def routes(cloud: Cloud) -> list[tuple[str, str, bool]]:
    found = [route for route in _routes(cloud) if route[1] != "/healthcheck"]
    assert len(found) > 150
    return found


def _fill(path: str, name: str) -> str:
    return re.sub(r"\{[^}]+\}", name, path)


def _key(path: str) -> str:
    """Guess what a body's key is called: the singular of the last noun."""
    noun = [part for part in path.split("/") if part and "{" not in part][-1]
    return {"servers": "server", "images": "image"}.get(noun, noun.removesuffix("s")).replace("-", "_")


def _shape_is_right(path: str, answer: Any) -> bool:
    body = answer.json()
    if path.startswith("/network"):
        return set(body["NeutronError"]) == {"type", "message", "detail"}
    if path.startswith("/identity"):
        return {"code", "message", "title"} <= set(body["error"])
    if path.startswith(("/compute", "/volume")):
        (inner,) = body.values()
        return bool(inner["message"] is not None and inner["code"] == answer.status_code)
    return bool(body)


def _check(answer: Any, what: str, problems: list[str], *, refused: bool = False) -> None:
    known_absent = answer.status_code == 501
    if answer.status_code >= 500 and not known_absent:
        problems.append(f"{what}: {answer.status_code} {answer.text[:200]}")
    elif refused and answer.status_code < 400:
        problems.append(f"{what}: {answer.status_code}, should be refused")
    elif answer.status_code >= 400 and answer.request.method != "HEAD":
        try:
            right = _shape_is_right(answer.request.path_url, answer)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{what}: {answer.status_code} not in the face's shape ({error!r}): {answer.text[:200]}")
        else:
            if not right:
                problems.append(f"{what}: {answer.status_code} not in the face's shape: {answer.text[:200]}")


def test_nothing_is_served_without_a_token(cloud: Cloud, routes: list[tuple[str, str, bool]]) -> None:
    stranger = Client(cloud.url, "nobody", "wrong", "none")
    problems: list[str] = []
    for method, path, public in routes:
        if not public:
            answer = stranger.request(method, _fill(path, ids.new_id()))
            if answer.status_code != 401:
                problems.append(f"{method} {path}: {answer.status_code}")
            _check(answer, f"{method} {path}", problems)
    stranger._session.headers["X-Auth-Token"] = "gAAAAAB-not-a-token"
    for method, path, public in routes[:20]:
        if not public and stranger.request(method, _fill(path, "x")).status_code != 401:
            problems.append(f"{method} {path} with a false token")
    assert not problems, "\n".join(problems)


def test_names_that_are_nowhere(client: Client, routes: list[tuple[str, str, bool]]) -> None:
    problems: list[str] = []
    for (method, path, _), name in itertools.product(routes, NAMES):
        if "{" in path and method in ("GET", "DELETE"):
            _check(client.request(method, _fill(path, name)), f"{method} {_fill(path, name)}", problems)
    assert not problems, "\n".join(problems)


def test_bodies_of_nonsense(client: Client, routes: list[tuple[str, str, bool]]) -> None:
    problems: list[str] = []
    json_type = {"Content-Type": "application/json"}
    for method, path, _ in routes:
        if method in ("POST", "PUT", "PATCH"):
            for body in BODIES:
                answer = client.request(method, _fill(path, ids.new_id()), data=body, headers=json_type)
                _check(answer, f"{method} {path} {body!r}", problems)
            for value in VALUES:
                answer = client.request(method, _fill(path, ids.new_id()), json={_key(path): value})
                _check(answer, f"{method} {path} {value!r}", problems)
    assert not problems, "\n".join(problems)


def test_queries_of_nonsense(client: Client, routes: list[tuple[str, str, bool]]) -> None:
    problems: list[str] = []
    for method, path, _ in routes:
        if method == "GET" and "{" not in path:
            for query in QUERIES:
                _check(client.get(f"{path}?{query}"), f"GET {path}?{query}", problems)
    assert not problems, "\n".join(problems)


def test_unknown_paths_and_methods(client: Client) -> None:
    problems: list[str] = []
    for prefix in ("/identity/v3", "/compute/v2.1", "/image/v2", "/network/v2.0", "/volume/v3"):
        answer = client.get(f"{prefix}/nothing/here")
        if answer.status_code != 404:
            problems.append(f"{prefix}: {answer.status_code}")
        _check(answer, prefix, problems)
    for method, path in (("PATCH", "/compute/v2.1/servers"), ("POST", "/network/v2.0/networks/x"),
                         ("DELETE", "/image/v2/images"), ("PUT", "/identity/v3/projects"),
                         ("PATCH", "/volume/v3/volumes")):
        answer = client.request(method, path)
        if answer.status_code not in (404, 405):
            problems.append(f"{method} {path}: {answer.status_code}")
        _check(answer, f"{method} {path}", problems)
    assert not problems, "\n".join(problems)


def test_too_large_a_body_is_refused(client: Client) -> None:
    answer = client.post("/compute/v2.1/servers", {"server": {"name": "x" * 2_000_000}})
    assert answer.status_code == 413


def test_another_projects_things_are_not_there(cloud: Cloud, client: Client, image: str) -> None:
    project = client.post("/identity/v3/projects", {"project": {"name": "other"}}).json()["project"]["id"]
    user = client.post("/identity/v3/users", {"user": {"name": "mallory", "password": "mallory-secret"}}).json()
    roles = client.get("/identity/v3/roles?name=member").json()["roles"]
    granted = client.request("PUT", f"/identity/v3/projects/{project}/users/{user['user']['id']}"
                                    f"/roles/{roles[0]['id']}")
    assert granted.status_code == 204
    mallory = Client(cloud.url, "mallory", "mallory-secret", "other")
    mallory.login()
    server = client.create_server(image, "private")
    client.wait_server(server, "ACTIVE")
    group = client.get("/network/v2.0/security-groups").json()["security_groups"][0]["id"]
    port = client.get(f"/network/v2.0/ports?device_id={server}").json()["ports"][0]["id"]
    volume = client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
    for method, path in (
            ("GET", f"/compute/v2.1/servers/{server}"), ("DELETE", f"/compute/v2.1/servers/{server}"),
            ("POST", f"/compute/v2.1/servers/{server}/action"), ("PUT", f"/compute/v2.1/servers/{server}"),
            ("GET", f"/network/v2.0/ports/{port}"), ("DELETE", f"/network/v2.0/ports/{port}"),
            ("GET", f"/network/v2.0/security-groups/{group}"),
            ("DELETE", f"/network/v2.0/security-groups/{group}"), ("GET", f"/image/v2/images/{image}"),
            ("GET", f"/volume/v3/volumes/{volume}"), ("DELETE", f"/volume/v3/volumes/{volume}"),
            ("PUT", f"/volume/v3/volumes/{volume}"), ("POST", f"/volume/v3/volumes/{volume}/action")):
        body = ({"os-stop": None} if path.endswith(f"{server}/action") else {"os-reserve": None}
                if path.endswith("action") else {"volume" if volume in path else "server": {"name": "mine"}})
        answer = mallory.request(method, path, json=body if method in ("POST", "PUT") else None)
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
    for path in ("/compute/v2.1/servers?all_tenants=1", "/identity/v3/users", "/compute/v2.1/os-hypervisors"):
        assert mallory.get(path).status_code == 403, path
    assert client.show(server)["status"] == "ACTIVE"  # type: ignore[index]
    client.delete(f"/compute/v2.1/servers/{server}")
    client.wait_gone(server)
