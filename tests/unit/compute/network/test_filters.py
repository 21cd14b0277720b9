"""What is loaded already is not loaded again, unless somebody asks for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from compute.network import nft
from compute.network.filters import Filters
from compute.network.links import Layout
from compute.network.records import GroupStore, NetworkRecord, PortRecord
from hostler import errors, ids
from hostler.resources.server.specs import RuleSpec
from tests.harness import network_factories as factories


def test_what_was_loaded_last_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    monkeypatch.setattr(nft, "apply", scripts.append)
    group = ids.new_id()
    port = factories.port(rules=(RuleSpec(direction="ingress", ethertype="IPv4", remote_is_group=True,
                                          remote_group_id=group),))
    record = NetworkRecord(factories.network(), 7, {port.id: PortRecord(port, factories.server())})
    groups = GroupStore(tmp_path)
    filters = Filters(groups, lambda network: Layout(network, tmp_path / "namespace", None))
    filters.follow(record)
    filters.follow(record)
    assert len(scripts) == 1
    filters.load(record)
    assert scripts[1:] == scripts[:1]
    for cidrs in (["10.77.0.10/32"], []):  # the sets alone follow, and come back to what was loaded at first
        groups.save(group, cidrs)
        filters.refill(record)
    assert len(scripts) == 4
    filters.follow(record)
    assert scripts[4:] == scripts[:1]


def test_what_was_refused_is_loaded_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_script: str) -> None:
        raise errors.AgentError(reason="refused")

    scripts: list[str] = []
    record = NetworkRecord(factories.network(), 7)
    filters = Filters(GroupStore(tmp_path), lambda network: Layout(network, tmp_path / "namespace", None))
    monkeypatch.setattr(nft, "apply", refuse)
    with pytest.raises(errors.AgentError):
        filters.follow(record)
    monkeypatch.setattr(nft, "apply", scripts.append)
    filters.follow(record)
    assert len(scripts) == 1
