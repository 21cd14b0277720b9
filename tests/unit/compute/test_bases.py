"""What a root disk builds on goes along with a guest that is sent live once the store has it no more; real disks, which
travel over TLS between agents of fake guests."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from compute import bases, diskheader, transfer
from compute.transfer import OFFER, TlsTransfer
from hostler import errors
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent
from tests.harness.contexts import attempt_of
from tests.harness.without_image import agents, qemu, server

__all__ = ["agents", "server"]
pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def _origin(source: Agent, server: ServerSpec, **known: Any) -> dict[str, Any]:
    context = attempt_of("move")
    described = {**source.manager.describe_migration(context, server.to_wire()), **known}
    return {**described, "offer": source.manager.offer_base(context, server.id, "host2")}


def _prepare(target: Agent, server: ServerSpec, origin: dict[str, Any]) -> dict[str, Any]:
    return dict(target.manager.prepare_migration(attempt_of("move"), server.to_wire(), origin, None))


def _backing(agent: Agent, server: ServerSpec) -> str | None:
    return diskheader.base_of(agent.layout.disk(server.id))


@pytest.mark.parametrize("breaks", [False, True])
def test_the_base_comes_before_the_guest(agents: list[Agent], server: ServerSpec, breaks: bool,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = agents
    origin = _origin(source, server)
    asked: list[int] = []
    fetch_rest = TlsTransfer._fetch_rest

    def fetch(self: TlsTransfer, offer: object, path: str, part: Path, have: int, check: object) -> None:
        asked.append(have)
        fetch_rest(self, offer, path, part, have, _die if breaks and not have else check)

    monkeypatch.setattr(TlsTransfer, "_fetch_rest", fetch)
    if breaks:
        with pytest.raises(KeyboardInterrupt):
            _prepare(target, server, origin)
    landing = _prepare(target, server, origin)
    assert asked == ([0, transfer.CHUNK] if breaks else [0]), "what had come is kept"
    assert landing["on_base"]
    base = origin["base"]
    assert (target.layout.images / base).read_bytes() == (source.layout.images / base).read_bytes()
    assert _backing(target, server) == base
    assert "backing file format: qcow2" in qemu("img", "info", target.layout.disk(server.id))
    target.reconciler.run()
    assert (target.layout.images / base).exists(), "what is built on stays"
    assert _prepare(target, server, origin) == landing, "a repeated call finds it"


def test_a_disc_comes_along(agents: list[Agent], server: ServerSpec) -> None:
    source, target = agents
    disc = dataclasses.replace(server, on_disc=True)
    origin = _origin(source, disc, disks={}, base_format="raw")
    assert _prepare(target, disc, origin)["on_base"]
    assert "backing file format: raw" in qemu("img", "info", target.layout.disk(server.id))


@pytest.mark.parametrize("gone", ["offer", "file", "format", "other"])
def test_without_it_all_of_the_disk_is_copied_and_a_disc_stays(agents: list[Agent], server: ServerSpec, gone: str,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = agents
    monkeypatch.setattr(transfer, "PATIENCE_S", 0.0)
    origin = _origin(source, server)
    if gone == "offer":
        origin["offer"] = None
    elif gone == "file":
        (source.layout.images / origin["base"]).unlink()
    elif gone == "format":
        origin["base_format"] = "vmdk"
    else:
        origin["offer"]["base"] = {"name": "ab" * 32, "size": 1, "sha256": "ab" * 32}
    with pytest.raises(errors.AgentError):
        _prepare(target, dataclasses.replace(server, on_disc=True), {**origin, "disks": {}})
    assert not _prepare(target, server, origin)["on_base"]
    assert _backing(target, server) is None
    assert qemu("img", "info", target.layout.disk(server.id)).count("virtual size: 1 GiB")


def test_nobody_else_gets_it(agents: list[Agent], server: ServerSpec) -> None:
    source, target = agents
    origin = _origin(source, server)
    (source.layout.server(server.id) / OFFER).unlink()
    source.manager.offer_base(attempt_of("move"), server.id, "host3")
    with pytest.raises(errors.AgentError, match="refuses"):
        bases.adopt(target.tools, origin["offer"], server.id, lambda: None)


@pytest.mark.parametrize("sha256", ["../servers/spec.json", "AB" * 32, "", None])
def test_nothing_is_adopted_under_a_name_that_is_no_checksum(agents: list[Agent], server: ServerSpec,
                                                             sha256: str | None) -> None:
    offer = _origin(agents[0], server)["offer"]
    with pytest.raises(errors.AgentError, match="no image"):
        bases.adopt(agents[1].tools, {**offer, "base": {**offer["base"], "sha256": sha256}}, server.id, lambda: None)


def test_a_base_takes_no_other_images_place(agents: list[Agent], server: ServerSpec) -> None:
    source, target = agents
    offer = _origin(source, server)["offer"]
    mine = offer["base"]["sha256"]
    offer["base"]["name"] = "cd" * 32
    adopted = bases.adopt(target.tools, offer, server.id, lambda: None)
    assert adopted == target.layout.images / mine
    assert not (target.layout.images / ("cd" * 32)).exists()


def test_an_offer_of_a_migration_that_failed_is_no_hindrance(agents: list[Agent], server: ServerSpec) -> None:
    source, _ = agents
    _origin(source, server)
    context = attempt_of("other")
    offered = source.manager.set_server_aside(context, server.to_wire(), "host2", 1)
    assert OFFER not in [file["name"] for file in offered["files"]]
    (source.layout.aside(server.id) / OFFER).unlink()  # killed before it was written
    assert source.manager.set_server_aside(context, server.to_wire(), "host2", 1) == offered


def _die() -> None:
    raise KeyboardInterrupt
