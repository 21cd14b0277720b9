"""Decisions are remembered, for the caller and the target they were made about, until the rules are read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from oslo_policy import policy as oslo_policy

from api import policy
from hostler import conf as hostler_conf
from hostler.context import RequestContext

_RULE = oslo_policy.RuleDefault("show", policy.READER)


def _caller(project_id: str, *roles: str, **more: Any) -> RequestContext:
    return RequestContext(user_id="u", project_id=project_id, roles=[*roles], request_id="r", overwrite=False, **more)


def _policy(directory: Path, **overrides: Any) -> policy.Policy:
    return policy.Policy(hostler_conf.load([], config_files=[], overrides={
        "state_path": str(directory), **overrides}), [_RULE])


def test_each_caller_and_target_has_its_own_decision(tmp_path: Path) -> None:
    rules = _policy(tmp_path)
    for _ in range(2):
        assert rules.allows(_caller("p", "reader"), "show")
        assert rules.allows(_caller("p", "reader"), "show", {"project_id": "p"})
        assert not rules.allows(_caller("p", "reader"), "show", {"project_id": "q"})
        assert not rules.allows(_caller("q", "reader"), "show", {"project_id": "p"})
        assert not rules.allows(_caller("p"), "show")
        assert rules.allows(_caller("q", "admin", is_admin_project=True), "show", {"project_id": "p"})
        assert not rules.allows(_caller("q", "admin", is_admin_project=False), "show", {"project_id": "p"})


def test_a_changed_rule_counts_once_the_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"show": "@"\n')
    rules = _policy(tmp_path, **{"oslo_policy.policy_file": str(file)})
    assert rules.allows(_caller("p"), "show")
    file.write_text('"show": "!  "\n')
    monkeypatch.setattr(policy, "_RELOAD_S", 0.0)
    monkeypatch.setattr(rules._enforcer, "_next_look", 0.0)
    assert not rules.allows(_caller("p"), "show")
