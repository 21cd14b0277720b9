"""In which order hosts are told who leads outside, and which of them are waited for."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from conductor.run import HandOver, Silences
from hostler import errors
from hostler.db.models import Network, Operation, Router
from hostler.resources.network import host_updates
from tests.harness import elected_routers
from tests.harness.conductor_rig import Rig


@pytest.fixture
def router_id(rig: Rig) -> str:
    """A router with a guest on each of four hosts; host3 has its gateway."""
    rig.host.update_network, rig.host.apply_port_rules = mock.Mock(), mock.Mock()  # type: ignore[attr-defined]
    rig.cloud.silences = Silences(window_s=300)
    return rig.db.write(lambda session: elected_routers.seed(session, rig))


def tell(rig: Rig, router_id: str, leaving: str | None = None) -> tuple[Any, list[str]]:
    """Run the operation; returns how it ended and the hosts in the order in which they were told."""
    network_id = rig.db.write(lambda session: session.scalars(sa.select(Network.id).where(
        Network.name == "inside")).one())
    [operation_id] = rig.db.write(lambda session: host_updates.tell_router(
        session, rig.context, router_id, [network_id], leaving))
    ended = rig.run(operation_id)
    return ended, [call.args[1] for call in rig.host.update_network.mock_calls]  # type: ignore[attr-defined]


def test_who_leads_next_is_told_first_and_who_did_last(rig: Rig, router_id: str) -> None:
    ended, order = tell(rig, router_id, leaving="host1")
    assert ended is None and (order[0], order[-1]) == ("host3", "host1") and sorted(order[1:3]) == ["host2", "host4"]
    announced: Any = rig.host.apply_port_rules  # type: ignore[attr-defined]
    assert [call.args[1] for call in announced.mock_calls] == ["host3"]
    [router] = announced.mock_calls[0].args[2][0].network.routers
    assert router.elected["host"] == "host3" and list(router.outside) == ["host3"]


def test_where_each_host_leads_the_one_that_did_for_all_is_last(rig: Rig, router_id: str) -> None:
    rig.db.write(lambda session: session.execute(sa.update(Router).values(distributed=True)))
    ended, order = tell(rig, router_id)
    assert ended is None and order[-1] == "host3" and sorted(order) == ["host1", "host2", "host3", "host4"]
    assert not rig.host.apply_port_rules.mock_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize(("silent", "waits"), [("host1", False), ("host2", True), ("host3", True)])
def test_the_host_that_led_may_be_dead(rig: Rig, router_id: str, silent: str, waits: bool) -> None:
    def answer(_context: Any, host: str, *_: Any) -> None:
        if host == silent:
            raise errors.Silent(part="The host")

    rig.host.update_network.side_effect = answer  # type: ignore[attr-defined]
    ended, order = tell(rig, router_id, leaving="host1")
    assert isinstance(ended, HandOver) == waits and sorted(order) == ["host1", "host2", "host3", "host4"]
    assert rig.one(Operation, rig.db.write(lambda session: session.scalars(sa.select(Operation.id)).one())).state == (
        "pending" if waits else "succeeded")
