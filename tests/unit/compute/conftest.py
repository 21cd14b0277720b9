"""Fixtures of the agent's unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent, make_agent, make_server


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return make_agent(tmp_path)


@pytest.fixture
def server() -> ServerSpec:
    return make_server()
