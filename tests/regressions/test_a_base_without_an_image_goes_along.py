"""A server whose image had been deleted could not move to a host without a copy of it: its disk travelled without what
it builds on, and the move was undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compute import transfer
from compute.transfer import TlsTransfer
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of
from tests.harness.without_image import agents, qemu, server

__all__ = ["agents", "server"]
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


@pytest.mark.parametrize("breaks", [False, True])
def test_the_base_goes_along(agents: list[Agent], server: ServerSpec, breaks: bool,
                             monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = agents
    offer = source.manager.set_server_aside(attempt_of("move"), server.to_wire(), "host2", 1)
    asked: list[tuple[str, int]] = []
    fetch_rest = TlsTransfer._fetch_rest

    def fetch(self: TlsTransfer, offer: object, path: str, part: Path, have: int, check: object) -> None:
        asked.append((path, have))
        dies = breaks and part.parent == target.layout.images and not have
        fetch_rest(self, offer, path, part, have, _die if dies else check)

    monkeypatch.setattr(TlsTransfer, "_fetch_rest", fetch)
    take_in = (attempt_of("move"), server.to_wire(), offer, True, None)
    if breaks:
        with pytest.raises(KeyboardInterrupt):
            target.manager.take_server_in(*take_in)
    target.manager.take_server_in(*take_in)
    base = offer["base"]["name"]
    begun = [have for path, have in asked if path == f"/{server.id}/{base}"]
    assert begun == ([0, transfer.CHUNK] if breaks else [0]), "what had come is kept"
    assert (target.layout.images / base).read_bytes() == (source.layout.images / base).read_bytes()
    disk = target.layout.disk(server.id)
    qemu("img", "compare", "-q", source.layout.aside(server.id) / "disk", disk)
    assert str(target.layout.images / base) in qemu("img", "info", disk)
    target.reconciler.run()
    source.reconciler.run()
    assert all((agent.layout.images / base).exists() for agent in agents), "what is built on stays"


def test_a_base_that_the_target_has_is_not_fetched(agents: list[Agent], server: ServerSpec) -> None:
    source, target = agents
    offer = source.manager.set_server_aside(attempt_of("move"), server.to_wire(), "host2", 1)
    base = source.layout.images / offer["base"]["name"]
    shutil.copy(base, target.layout.images)
    base.unlink()
    answer = target.manager.take_server_in(attempt_of("move"), server.to_wire(), offer, True, None)
    assert answer["power_state"] == "running"


def _die() -> None:
    raise KeyboardInterrupt
