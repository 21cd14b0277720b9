"""Faults, messages and 503s named hosts and storage nodes, and how long they were waited for."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from hostler import clock, errors
from hostler.bus import Bus
from hostler.context import RequestContext
from hostler.db.models import Operation, Server
from tests.harness.conductor_rig import Rig, rig
from tests.harness.inprocess import Cloud

__all__ = ["rig"]


def test_a_servers_fault_is_a_plain_sentence_and_its_details_name_the_host(rig: Rig) -> None:
    server_id, operation_id = rig.accept("server.create")
    rig.host.fail["spawn_server"] = [errors.Silent(part="The compute service", host="host1")] * 2
    rig.run(operation_id)
    rig.db.write(lambda session: session.execute(sa.update(Operation).values(
        waiting_since=clock.utcnow() - dt.timedelta(hours=1))))
    rig.expire_delay(operation_id)
    assert rig.run(operation_id) is None
    fault, operation = rig.one(Server, server_id).fault, rig.one(Operation, operation_id)
    assert fault["message"] == operation.message == "The host does not answer."
    assert fault["details"].startswith("Host host1 did not answer for 1 s.")


@pytest.mark.parametrize("topic, host", [("compute", "host-of-nobody"), ("volume", "node-of-nobody")])
def test_a_silent_service_is_named_without_its_host(cloud: Cloud, topic: str, host: str) -> None:
    """What an api answers with 503 when it asks a host directly."""
    bus: Bus = cloud.bus
    with pytest.raises(errors.Silent) as caught:
        bus.client(topic, "1.0").to(host, timeout_s=1).call(RequestContext.system(), "describe")
    assert str(caught.value) == f"The {topic} service does not answer."
    assert host in caught.value.details
