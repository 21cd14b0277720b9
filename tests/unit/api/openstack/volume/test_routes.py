"""Nonsense sent to every route of the face in its newest version: a 4xx in the face's shape or a 501, never a 500."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from api.openstack.volume.routes import routes
from hostler import ids
from tests.harness.volume_core import Cloud
from tests.harness.volume_rest import STORE, put_volume

NAMES = ("x", ids.new_id(), "n" * 300, "a%2Fb", "-1", "%C3%A9", "None")
VALUES: tuple[Any, ...] = (
    None, 1, 1.5, True, "text", [], {}, [[]], {"name": 1}, {"name": "n" * 300}, {"name": "a\ud7ff\u2028"},
    {"unknown": True}, {"metadata": {"k": None}}, {"metadata": []}, {"status": None}, {"status": "x" * 300},
    {"connector": {"host": 1}}, {"host": "\u202e", "binary": "x"}, {"volumes": 10**30}, {"force": "maybe"})
KEYS = ("snapshot", "backup", "restore", "transfer", "accept", "attachment", "volume_type", "extra_specs", "metadata",
        "meta", "quota_set", "quota_class_set", "os-reset_status", "os-force_delete", "os-complete", "host",
        "addProjectAccess", "os-update_snapshot_status", "encryption")
QUERIES = ("limit=-1", "limit=x", "limit=99999999999999999999", "offset=99999999999999999999", "offset=x",
           "marker=nowhere", f"marker={ids.new_id()}", "sort_key=nothing&sort_dir=sideways", "sort=x:y", "sort=:",
           "sort=name:asc,name:desc", "all_tenants=maybe", "project_id=x&all_tenants=1", "is_public=maybe",
           "name=" + "n" * 3000, "name~=%25_%5C", "metadata={", "metadata={'a': {'b': 1}}", "extra_specs=[1]",
           "extra_specs={'a\"b': 'c'}", "with_count=maybe", "usage=7", "detail=maybe", "status=%F0%9F%98%80",
           "volume_id=x", "instance_id=x", "resource=x", "limit=1&limit=2", "name=a&name=b", "host=x&binary=y")


def paths(cloud: Cloud) -> list[tuple[str, Any]]:
    return [(path.removeprefix("/v3"), resource) for path, resource in routes(cloud.services)
            if path.startswith("/v3/")]


def faults(answer: Any, what: str) -> list[str]:
    if answer.status_code >= 500 and answer.status_code != 501:
        return [f"{what}: {answer.status_code} {answer.text[:200]}"]
    if answer.status_code >= 400:
        ((_, fault),) = answer.json.items()
        if fault["code"] != answer.status_code or not fault["message"]:
            return [f"{what}: {answer.text[:200]}"]
    return []


@pytest.fixture
def filled(cloud: Cloud) -> dict[str, str]:
    """One of everything, so that nonsense gets past the look-up: parameter → id."""
    volume_id = put_volume(cloud)
    return {"snapshot_id": cloud.snapshot(volume_id), "backup_id": cloud.backup(volume_id, store=STORE),
            "attachment_id": cloud.attach(put_volume(cloud)), "type_id": cloud.volume_type("one"),
            "volume_id": volume_id, "key": "k", "quota_project_id": "11111111-1111-4111-8111-111111111111"}


@pytest.mark.parametrize("version", ["3.0", "3.71"])
def test_names_and_queries(cloud: Cloud, filled: dict[str, str], version: str) -> None:
    found: list[str] = []
    for path, resource in paths(cloud):
        if not hasattr(resource, "on_get"):
            continue
        names = NAMES if "{" in path else ("",)
        for name, query in itertools.product(names, QUERIES if names == ("",) else ("",)):
            asked = re.sub(r"\{[^}]+\}", name, path) + (f"?{query}" if query else "")
            found += faults(cloud.call("GET", asked, token="admin", version=version), f"GET {asked}")
    assert not found, "\n".join(found)


def test_bodies(cloud: Cloud, filled: dict[str, str]) -> None:
    found: list[str] = []
    for path, resource in paths(cloud):
        asked = re.sub(r"\{([^}]+)\}", lambda match: filled.get(match[1], "x"), path)
        for method in ("POST", "PUT"):
            if not hasattr(resource, f"on_{method.lower()}"):
                continue
            bodies = [*VALUES, *({key: value} for key, value in itertools.product(KEYS, VALUES))]
            for body in bodies:
                found += faults(cloud.call(method, asked, body, token="admin"), f"{method} {asked} {body!r}")
    assert not found, "\n".join(found[:50])
