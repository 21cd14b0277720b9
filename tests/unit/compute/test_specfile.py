"""A spec is written when it differs from what is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from compute.layout import Layout
from compute.specfile import SpecFiles
from tests.harness.compute_agents import make_server


def test_what_is_kept_already_is_not_written_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    specs, server = SpecFiles(layout, "host1"), make_server()

    def written() -> tuple[int, int]:
        return layout.spec(server.id).stat().st_ino, layout.owner(server.id).stat().st_ino

    assert specs.save(server) == server
    before = written()
    assert specs.save(dataclasses.replace(server)) == server
    assert specs.refresh(server) == server
    assert written() == before
    renamed = dataclasses.replace(server, name="renamed", revision=server.revision + 1)
    assert specs.save(renamed) == specs.load(server.id) == renamed
    assert specs.refresh(dataclasses.replace(renamed, name="again", revision=renamed.revision + 1)) == specs.load(
        server.id)


def test_a_directory_that_another_host_had_becomes_this_hosts(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    server = make_server()
    SpecFiles(layout, "host1").save(server)
    SpecFiles(layout, "host2").save(server)
    assert layout.owner(server.id).read_text() == "host2"


def test_a_spec_that_cannot_be_read_is_written_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.prepare()
    specs, server = SpecFiles(layout, "host1"), make_server()
    specs.save(server)
    layout.spec(server.id).write_text("{")
    assert specs.save(server) == specs.load(server.id) == server
