"""A host that takes a server in wrote its files under whatever names the other host said: beside the server's
directory, or over what it notes there itself, such as to whom it offers files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hostler import errors
from tests.harness.compute_agents import make_agent, make_server
from tests.harness.contexts import attempt_of


@pytest.mark.parametrize("name", ["../other/disk", "/tmp/disk", "..", ".ssh", "", "offer.json", "spec.json", "arrival"])
def test_a_file_of_another_place_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make_agent(tmp_path, host="host2")
    server = make_server()
    fetched: list[Path] = []

    def fetch(_offer: Any, _server: str, _file: Any, path: Path, _check: Any) -> None:
        fetched.append(path)

    monkeypatch.setattr(agent.tools.transfer, "fetch", fetch)
    offer = {"host": "host1", "ip": "127.0.0.1", "port": 1, "base": None,
             "files": [{"name": name, "size": 1, "sha256": "0" * 64}]}
    with pytest.raises(errors.AgentError, match="none of a server's"):
        agent.manager.take_server_in(attempt_of("move"), server.to_wire(), offer, False)
    assert not fetched
