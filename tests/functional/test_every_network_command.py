"""Every command of the unmodified client for the Network API does what the reference says, or says what is not built.

The commands are in `tests.harness.network_commands`. One that the client has and that list lacks fails.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.network_commands import COMMANDS, NOT_BUILT

pytestmark = [pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing())),
              pytest.mark.timeout(1200)]  # 170 commands, each with a login of its own
# What an answer of 501 looks like, and what the client says by itself of an extension that is not listed.
_REFUSALS = ("501", "not supported by this cloud", "No Extension found for", "extension is not enabled")
_DOCS = Path(__file__).parents[2] / "docs" / "api-support.md"


def known() -> set[str]:
    """Return the commands that the client registers."""
    return {point.name.replace("_", " ") for point in importlib.metadata.entry_points(group="openstack.network.v2")}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def command_of(line: str) -> str:
    """Return the longest command that a line begins with."""
    return max((name for name in known() if line == name or line.startswith(f"{name} ")), key=len, default="")


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"nothing-named-{name}"


class Shell:
    """Runs lines, and remembers the ids that they give names to."""

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self.environment = openstack_cli.login(cloud.url, ADMIN_PASSWORD, home)
        self.names = _Names()

    def run(self, line: str) -> str:
        """Run a line; returns what is wrong with its answer, or nothing."""
        words, _, complaint = line.partition(" !! ")
        words, _, said = words.partition(" => ")
        arguments = shlex.split(words.format_map(self.names))
        kind = command_of(words)
        speaks = bool(said) or kind.split()[-1] in ("list", "show", "create")
        done = openstack_cli.run([*arguments, *(["-f", "json"] if speaks and not complaint else [])], self.environment)
        if complaint:
            [wanted] = shlex.split(complaint)
            return "" if done.returncode and wanted in done.stderr else f"not refused with {wanted!r}: {done.stderr}"
        if done.returncode:
            return f"exit status {done.returncode}: {done.stderr}"
        return self._check(shlex.split(said.format_map(self.names)), json.loads(done.stdout)) if speaks else ""

    def _check(self, said: list[str], answer: Any) -> str:
        shown = answer if isinstance(answer, list) else [answer]
        wrong = ""
        for word in said:
            column, equals, value = word.partition("=")
            if not equals:
                self.names[word.removeprefix("@")] = next(str(row.get("id", row.get("ID"))) for row in shown)
                continue
            unwanted = column.endswith("!")
            if any(_text(row.get(column.removesuffix("!"))) == value for row in shown) == unwanted:
                wrong = f"{word}: {answer}"
        return wrong


def _text(value: Any) -> str:
    return str(value).replace("'", "")


def wrong(shell: Shell, text: str) -> Iterator[str]:
    """Run lines and yield what is wrong, with the line."""
    for line in lines(text):
        found = shell.run(line)
        if found:
            yield f"openstack {line}\n    {found}"


@pytest.fixture(scope="module")
def shell(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell of the administrator's."""
    return Shell(cloud, tmp_path_factory.mktemp("home"))


def test_every_command_of_the_client_is_listed() -> None:
    listed = {command_of(line) for text in (COMMANDS, *NOT_BUILT.values()) for line in lines(text)}
    assert known() - listed == set()
    assert listed <= known()


def test_what_the_commands_do(shell: Shell) -> None:
    found = list(wrong(shell, COMMANDS))
    assert not found, "\n".join(found)


def test_what_is_not_built_is_said_and_documented(shell: Shell, client: Client) -> None:
    def make(noun: str, **values: Any) -> str:
        made = client.post(f"/network/v2.0/{noun}s", {noun: values})
        assert made.status_code == 201, made.text
        return str(made.json()[noun]["id"])

    network = make("network", name="n3")
    for noun, values in (("router", {"name": "r3"}), ("subnetpool", {"name": "sp3", "prefixes": ["10.66.0.0/16"]}),
                         ("port", {"name": "p3", "network_id": network})):
        make(noun, **values)
    shell.names |= {"agent": client.get("/network/v2.0/agents").json()["agents"][0]["id"], "segment": network}
    documented = re.sub(r"\s+", " ", _DOCS.read_text())
    wrong = []
    for extension, text in NOT_BUILT.items():
        assert f"`{extension}`" in documented, f"docs/api-support.md does not name: {extension}"
        for line in lines(text):
            words = shlex.split(line.format_map(shell.names))
            done = openstack_cli.run(words, shell.environment)
            if not done.returncode and "agent" in words:  # openstacksdk does not look at these answers
                done = openstack_cli.run([*words, "--debug"], shell.environment)
                refused = "RESP: [501]" in done.stderr
            else:
                refused = bool(done.returncode) and any(text in done.stderr for text in _REFUSALS)
            if not refused or extension not in done.stderr:
                wrong.append(f"openstack {line}: {done.returncode} {done.stderr}")
    assert not wrong, "\n".join(wrong)
