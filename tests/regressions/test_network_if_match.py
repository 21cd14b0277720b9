"""`If-Match: revision_number=N` was passed over, so two writers lost each other's changes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.network_core import make_cloud
from tests.harness.network_rest import Api

MEMBER = "demo:member,reader"


@pytest.fixture(scope="module")
def api(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    rows = make_cloud(database_url, Path(tmp_path_factory.mktemp("state")))
    yield Api(rows)
    rows.db.dispose()


def make(api: Api, noun: str) -> tuple[str, dict[str, Any]]:
    """Return the path of a new resource and the resource."""
    parents: dict[str, tuple[str, str, dict[str, Any]]] = {
        "subnet": ("network", "networks", {"cidr": "10.0.0.0/24", "ip_version": 4}),
        "port": ("network", "networks", {}),
        "security_group_rule": ("security_group", "security-groups", {"direction": "ingress"})}
    values: dict[str, Any] = {}
    if noun in parents:
        parent, where, values = parents[noun]
        values = {**values, f"{parent}_id": api.make(parent, where, name="parent")["id"]}
    made = api.make(noun, f"{noun.replace('_', '-')}s", **values)
    return f"/network/v2.0/{noun.replace('_', '-')}s/{made['id']}", made


def send(api: Api, method: str, path: str, if_match: str | None, body: Any = None) -> Any:
    headers = {"X-Auth-Token": MEMBER, **({"If-Match": if_match} if if_match else {})}
    return api.client.simulate_request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("noun", ["network", "subnet", "port", "security_group"])
def test_a_change_meets_the_revision_it_names(api: Api, noun: str) -> None:
    path, made = make(api, noun)
    revision = made["revision_number"]
    changed = send(api, "PUT", path, f"revision_number={revision}", {noun: {"description": "first"}})
    assert changed.status_code == 200 and changed.json[noun]["revision_number"] == revision + 1
    late = send(api, "PUT", path, f'"revision_number={revision}"', {noun: {"description": "second"}})
    assert late.status_code == 412 and late.json["NeutronError"]["type"] == "RevisionNumberConstraintFailed"
    assert str(revision + 1) in late.json["NeutronError"]["message"]
    assert send(api, "GET", path, None).json[noun]["description"] == "first"
    tags = send(api, "PUT", path + "/tags", f"revision_number={revision}", {"tags": ["late"]})
    assert tags.status_code == 412
    assert send(api, "DELETE", path, f"revision_number={revision}").status_code == 412
    assert send(api, "DELETE", path, f"revision_number={revision + 1}").status_code == 204


def test_a_rule_goes_at_its_revision_only(api: Api) -> None:
    path, made = make(api, "security_group_rule")
    assert send(api, "DELETE", path, f"revision_number={made['revision_number'] + 1}").status_code == 412
    assert send(api, "DELETE", path, f"revision_number={made['revision_number']}").status_code == 204


@pytest.mark.parametrize(("if_match", "status"), [
    ("revision_number=x", 400), ("revision_number=", 400), ('"revision_number=1", "revision_number=2"', 400),
    ('"an entity tag of somebody else"', 200), ("*", 200)])
def test_what_is_no_revision(api: Api, if_match: str, status: int) -> None:
    path, _ = make(api, "network")
    assert send(api, "PUT", path, if_match, {"network": {"description": "x"}}).status_code == status


def test_of_writers_that_read_the_same_revision_one_wins(api: Api) -> None:
    path, made = make(api, "network")
    condition = f"revision_number={made['revision_number']}"
    statuses: list[int] = []
    writers = [threading.Thread(target=lambda word=word: statuses.append(
        send(api, "PUT", path, condition, {"network": {"description": word}}).status_code)) for word in "abcdef"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(statuses) == [200, *[412] * (len(writers) - 1)]
