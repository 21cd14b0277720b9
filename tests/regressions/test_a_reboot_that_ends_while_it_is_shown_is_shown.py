"""A server in error that was rebooted hard showed ERROR, and its old fault, when the reboot ended between two
statements of the request that showed it: a client that waited for the reboot gave up. The zombies found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler.db.models import Operation
from hostler.operations import states
from tests.harness.compute_rest import Cloud, build


@pytest.fixture
def rest(tmp_path: Path) -> Iterator[Cloud]:
    made = build(tmp_path)
    yield made
    made.services.db.dispose()


def test_the_row_and_its_operation_are_of_one_moment(rest: Cloud) -> None:
    server_id = rest.running()
    rest.settle(server_id, vm_state="error")
    assert rest.act(server_id, "reboot", {"type": "HARD"}).status_code == 202
    # What the second statement sees: the first one still saw the lock.
    rest.services.db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.resource_id == server_id).values(state=states.SUCCEEDED)))
    shown = rest.get(f"/servers/{server_id}")["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("HARD_REBOOT", "rebooting_hard")
