"""An agent that trimmed its cache took the image away that a server's disk builds on, once the image store had none.

A server whose image was deleted or deactivated gets a spec without it at its next start; what its disk builds on was
then unused to the agent, and the server's disk was lost.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest

from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server

_SHA256 = "ab" * 32


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize("place", ["server", "aside", "incoming"])
def test_what_a_disk_builds_on_is_not_trimmed(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, server = make_agent(tmp_path), make_server()
    agent.spawn(server)
    base = agent.layout.images / _SHA256
    _qemu_img("create", "-q", "-f", "qcow2", base, "1M")
    _overlay(agent, server, base)
    agent.specs.save(dataclasses.replace(server, image=None))
    if place != "server":
        agent.layout.server(server.id).rename(getattr(agent.layout, place)(server.id))
    used: set[str] = set()

    def trim(found: Collection[str]) -> list[str]:
        used.update(found)
        return []

    monkeypatch.setattr(agent.tools.images, "trim", trim)
    agent.reconciler.run()
    assert _SHA256 in used


def _overlay(agent: Agent, server: ServerSpec, base: Path) -> None:
    disk = agent.layout.disk(server.id)
    disk.unlink(missing_ok=True)
    _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk)


def _qemu_img(*arguments: object) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True)
