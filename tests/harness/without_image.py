"""Two agents of fake guests on real disks, which travel over TLS, and a server whose image is deleted."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.diskfile import DiskFiles
from compute.transfer import TlsTransfer
from hostler import clock, conf, pki
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import ImageSpec, ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server
from tests.harness.ports import free_port


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[list[Agent]]:
    """The agents of host1 and host2."""
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
    """A server on the first host that has written to its disk, and whose image is deleted."""
    stored = tmp_path / "stored"
    qemu("img", "create", "-q", "-f", "qcow2", stored, "8M")
    qemu("io", "-f", "qcow2", "-c", "write -q -P 1 0 3M", stored)
    image = ImageSpec(id="i1", sha256=hashlib.sha256(stored.read_bytes()).hexdigest(), size_bytes=stored.stat().st_size,
                      virtual_size_bytes=8 << 20, disk_format="qcow2", path=str(stored))
    made = make_server(image=image)
    agents[0].spawn(made)
    qemu("io", "-f", "qcow2", "-c", "write -q -P 2 1M 1M", agents[0].layout.disk(made.id))
    stored.unlink()
    return dataclasses.replace(made, image=None)


def qemu(program: str, *arguments: object) -> str:
    """Run qemu-<program>; returns what it prints."""
    return subprocess.run([f"qemu-{program}", *map(str, arguments)], check=True, capture_output=True, text=True).stdout
