"""A server whose image had been deleted could not move to a host without a copy of it: its disk travelled without what
it builds on, and the move was undone."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute import transfer
from compute.diskfile import DiskFiles
from compute.transfer import TlsTransfer
from hostler import clock, conf, pki
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.contexts import attempt_of
from tests.harness.ports import free_port

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
_HOSTS = ("host1", "host2")


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[list[Agent]]:
    """Agents of fake guests on real disks, which travel over TLS."""
    pki.init_authority(tmp_path / "authority", clock.utcnow())
    made = []
    for host in _HOSTS:
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
    """A server on the first host whose image is deleted."""
    stored = tmp_path / "stored"
    _qemu("img", "create", "-q", "-f", "qcow2", stored, "8M")
    _qemu("io", "-f", "qcow2", "-c", "write -q -P 1 0 3M", stored)
    image = ImageSpec(id="i1", sha256=hashlib.sha256(stored.read_bytes()).hexdigest(), size_bytes=stored.stat().st_size,
                      virtual_size_bytes=8 << 20, disk_format="qcow2", path=str(stored))
    made = make_server(image=image)
    agents[0].spawn(made)
    _qemu("io", "-f", "qcow2", "-c", "write -q -P 2 1M 1M", agents[0].layout.disk(made.id))
    stored.unlink()
    return dataclasses.replace(made, image=None)


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
    _qemu("img", "compare", "-q", source.layout.aside(server.id) / "disk", disk)
    assert str(target.layout.images / base) in _qemu("img", "info", disk)
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


def _qemu(program: str, *arguments: object) -> str:
    return subprocess.run([f"qemu-{program}", *map(str, arguments)], check=True, capture_output=True, text=True).stdout
