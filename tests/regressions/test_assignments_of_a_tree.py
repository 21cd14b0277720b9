"""`include_subtree` without a project listed the assignments of the whole cloud, where the reference answers 400."""

from __future__ import annotations

from tests.harness.identity_rest import IdentityApi


def test_a_tree_has_a_root(identity_api: IdentityApi) -> None:
    for query in ("include_subtree", "include_subtree=true&scope.domain.id=default",
                  "include_subtree=1&scope.system=all"):
        refused = identity_api.call("GET", f"/role_assignments?{query}")
        assert refused.status_code == 400 and "scope.project.id" in refused.json["error"]["message"]
    project = identity_api.call("POST", "/projects", {"project": {"name": "root"}}).json["project"]["id"]
    for query in (f"include_subtree=true&scope.project.id={project}", "include_subtree=false"):
        assert identity_api.call("GET", f"/role_assignments?{query}").status_code == 200
