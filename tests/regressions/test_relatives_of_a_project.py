"""`openstack project show --parents --children` got neither: the parameters were passed over."""

from __future__ import annotations

import pytest

from tests.harness.identity_rest import IdentityApi


@pytest.fixture(scope="module")
def project(identity_api: IdentityApi) -> str:
    return str(identity_api.call("POST", "/projects", {"project": {"name": "lonely"}}).json["project"]["id"])


@pytest.mark.parametrize(("query", "shown"), [
    ("", {}), ("parents_as_ids=false", {}), ("parents_as_ids", {"parents": {"default": None}}),
    ("parents_as_list", {"parents": []}), ("subtree_as_ids=True", {"subtree": None}),
    ("subtree_as_list", {"subtree": []}),
    ("parents_as_ids=1&subtree_as_list=1", {"parents": {"default": None}, "subtree": []})])
def test_above_a_project_is_its_domain_and_below_it_nothing(identity_api: IdentityApi, project: str, query: str,
                                                           shown: dict[str, object]) -> None:
    found = identity_api.call("GET", f"/projects/{project}?{query}").json["project"]
    assert {name: found[name] for name in ("parents", "subtree") if name in found} == shown


@pytest.mark.parametrize("name", ["parents", "subtree"])
def test_one_spelling_at_a_time(identity_api: IdentityApi, project: str, name: str) -> None:
    assert identity_api.call("GET", f"/projects/{project}?{name}_as_ids&{name}_as_list").status_code == 400
