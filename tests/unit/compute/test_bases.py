"""What a root disk builds on goes along with a guest that is sent live once the store has it no more; real disks, which
travel over TLS between agents of fake guests."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute import bases, diskheader, transfer
from compute.diskfile import DiskFiles
from compute.transfer import OFFER, TlsTransfer
from hostler import clock, conf, errors, pki
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of
from tests.harness.ports import free_port

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[list[Agent]]:
    """Two hosts."""
    pki.init_authority(tmp_path / "authority", clock.utcnow())
    made = []
    for host in ("host1", "host2"):
        pki.issue(tmp_path / "authority", host, ["127.0.0.1"], tmp_path / "pki" / host, clock.utcnow())
        agent = make_agent(tmp_path / host, host=host)
        config = conf.load([], config_files=[], overrides={
            "host": host, "state_path": str(tmp_path / host), "compute.tls_dir": str(tmp_path / "pki" / host),
            "compute.transfer_port": free_port()})
        for part, real in (("images", ImageCache(agent.layout.images, max_bytes=0, min_age_s=0)),
                           ("disks", DiskFiles(agent.layout)), ("transfer", TlsTransfer(config, agent.layout))):
            object.__setattr__(agent.tools, part, real)
        agent.tools.transfer.start()
        made.append(agent)
    yield made
    for agent in made:
        agent.tools.transfer.stop()


@pytest.fixture
def server(tmp_path: Path, agents: list[Agent]) -> ServerSpec:
    """A server that runs on the first host and whose image is deleted."""
    stored = tmp_path / "stored"
    _qemu("img", "create", "-q", "-f", "qcow2", stored, "8M")
    _qemu("io", "-f", "qcow2", "-c", "write -q -P 1 0 3M", stored)
    image = ImageSpec(id="i1", sha256=hashlib.sha256(stored.read_bytes()).hexdigest(), size_bytes=stored.stat().st_size,
                      virtual_size_bytes=8 << 20, disk_format="qcow2", path=str(stored))
    made = make_server(image=image)
    agents[0].spawn(made)
    stored.unlink()
    return dataclasses.replace(made, image=None)


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
    assert "backing file format: qcow2" in _qemu("img", "info", target.layout.disk(server.id))
    target.reconciler.run()
    assert (target.layout.images / base).exists(), "what is built on stays"
    assert _prepare(target, server, origin) == landing, "a repeated call finds it"


def test_a_disc_comes_along(agents: list[Agent], server: ServerSpec) -> None:
    source, target = agents
    disc = dataclasses.replace(server, on_disc=True)
    origin = _origin(source, disc, disks={}, base_format="raw")
    assert _prepare(target, disc, origin)["on_base"]
    assert "backing file format: raw" in _qemu("img", "info", target.layout.disk(server.id))


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
    assert _qemu("img", "info", target.layout.disk(server.id)).count("virtual size: 1 GiB")


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


def _qemu(program: str, *arguments: object) -> str:
    return subprocess.run([f"qemu-{program}", *map(str, arguments)], check=True, capture_output=True, text=True).stdout
