"""A thief has host1's configuration, and speaks to a real broker with it: by our own client, and by the bare protocol.

Nothing he tries reaches another host, its servers or their secrets. The fleet is real processes on RabbitMQ and
PostgreSQL, all over TLS, with the broker users that `hostler-manage bus-user` makes.
"""

from __future__ import annotations

import base64
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import kombu
import pytest
import sqlalchemy as sa

from compute.rpcapi import ComputeAPI
from conductor.rpcapi import ConductorAPI
from hostler import clock, errors, pki
from hostler.bus import Bus
from hostler.bus.senders import Sender
from hostler.context import RequestContext
from hostler.db.models import Host, Server
from scheduler.rpcapi import SchedulerAPI
from tests.harness import backends
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.secured_fleet import SecuredFleet

SECRET = base64.b64encode(b"#!/bin/sh\necho only for host2").decode()
EXCHANGE = "amq.topic"
ANSWER = "0123456789abcdef0123456789abcdef"
OURS = f"reply.compute.host1.{ANSWER}"
CONTEXT = RequestContext.system()


class Site:
    """The fleet with a server on each host: `mine` is on the stolen one."""

    def __init__(self, fleet: SecuredFleet) -> None:
        self.secured = fleet
        self.client: Client
        self.mine = self.theirs = ""

    def start(self) -> None:
        """Start all of it."""
        self.client = self.secured.start()
        image = self.client.make_image()
        self.mine, self.theirs = (self.client.create_server(
            image, host, availability_zone=f"nova:{host}", user_data=SECRET) for host in ("host1", "host2"))
        for server_id in (self.mine, self.theirs):
            self.client.wait_server(server_id, "ACTIVE")

    def records(self) -> Any:
        """Return what the cloud knows of host2 and its server, without what every heartbeat changes."""
        database = self.secured.fleet.database()
        try:
            with database.reading() as session:
                host = session.scalars(sa.select(Host).where(Host.name == "host2")).one()
                server = session.get_one(Server, self.theirs)
                return (host.vcpus, host.ram_mib, host.host_ip, host.healthy, host.connector, server.vm_state,
                        server.power_state, server.host_id == host.id, server.deleted_at)
        finally:
            database.dispose()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The fleet, running."""
    if missing := backends.missing():
        pytest.skip(missing)
    made = Site(SecuredFleet(tmp_path_factory.mktemp("stolen")))
    try:
        made.start()
        yield made
    finally:
        made.secured.stop()


@pytest.fixture
def stolen(site: Site) -> Iterator[Bus]:
    """Our own client with the thief's credentials."""
    bus = Bus(site.secured.fleet.conf("host1"))
    yield bus
    bus.close()


@pytest.fixture(autouse=True)
def _unharmed(site: Site) -> Iterator[None]:
    before = site.records()
    yield
    assert site.records() == before


def test_the_cloud_works_with_these_users(site: Site) -> None:
    made = site.client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]
    site.client.wait_volume(made["id"], "available")
    attached = site.client.post(f"/compute/v2.1/servers/{site.mine}/os-volume_attachments",
                                {"volumeAttachment": {"volumeId": made["id"]}})
    assert attached.status_code == 200
    site.client.wait_volume(made["id"], "in-use")
    shown = site.client.post(f"/compute/v2.1/servers/{site.theirs}/action", {"os-getConsoleOutput": {}})
    assert shown.status_code == 200
    assert "may not send" not in "".join(site.secured.log_of(name) for name in ("conductor", "host1", "host2", "node1"))


def _report(site: Site) -> dict[str, Any]:
    conductors = Bus(site.secured.fleet.conf("conductor"))
    try:
        return ComputeAPI(conductors).get_host_report(CONTEXT, "host2")
    finally:
        conductors.close()


def test_an_agent_cannot_speak_for_another(site: Site, stolen: Bus) -> None:
    conductors, report = ConductorAPI(stolen), {**_report(site), "vcpus": 1, "host_ip": "192.0.2.66"}
    event = {"server_id": site.theirs, "event": "stopped", "power_state": "shutdown", "revision": 99,
             "at": clock.iso_z(clock.utcnow())}
    look = {"server_id": site.theirs, "power_state": "shutdown", "revision": 99}
    attempts: list[Callable[[], Any]] = [
        lambda: conductors.heartbeat(CONTEXT, "host2", report),
        lambda: conductors.server_events(CONTEXT, "host2", [event]),
        lambda: conductors.volumes_released(CONTEXT, "host2", [{"server_id": site.theirs, "attachment_id": "x"}]),
        lambda: conductors.reconcile(CONTEXT, "host2", [look]),
        lambda: conductors.volume_heartbeat(CONTEXT, "host1", {"started_at": clock.iso_z(clock.utcnow())}),
        lambda: conductors.volume_heartbeat(CONTEXT, "node1", {"started_at": clock.iso_z(clock.utcnow())}),
        lambda: conductors.volume_reconcile(CONTEXT, "node1", {"backends": {}})]
    for attempt in attempts:
        with pytest.raises(errors.SenderRefused):
            attempt()


def test_an_agent_cannot_call_other_agents(site: Site, stolen: Bus) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: ComputeAPI(stolen).destroy_server(CONTEXT, "host2", site.theirs, []),
        lambda: ComputeAPI(stolen).get_console_output(CONTEXT, "host2", site.theirs, None),
        lambda: ComputeAPI(stolen).get_inventory(CONTEXT, "host2"),
        lambda: stolen.client("volume", "2.0").to("node1").call(CONTEXT, "get_inventory"),
        lambda: SchedulerAPI(stolen).select_backends(CONTEXT, [])]
    for attempt in attempts:
        with pytest.raises(errors.BrokerSilent):
            attempt()


def test_its_own_reports_tell_nothing_of_servers_elsewhere(site: Site, stolen: Bus) -> None:
    conductors = ConductorAPI(stolen)
    answer = conductors.reconcile(CONTEXT, "host1", [
        {"server_id": server_id, "power_state": "running", "revision": 99} for server_id in (site.mine, site.theirs)])
    shown = {entry["server_id"]: entry["server"] for entry in answer["servers"]}
    assert shown[site.theirs] is None
    assert shown[site.mine]["user_data"] == SECRET
    assert json.dumps(answer).count(SECRET) == 1


def test_its_own_reports_change_no_server_elsewhere(site: Site, stolen: Bus) -> None:
    conductors = ConductorAPI(stolen)
    for event, power_state in (("stopped", "shutdown"), ("removed", "nostate"), ("crashed", "crashed")):
        conductors.server_events(CONTEXT, "host1", [{
            "server_id": site.theirs, "event": event, "power_state": power_state, "revision": 99,
            "at": clock.iso_z(clock.utcnow())}])
    conductors.reconcile(CONTEXT, "host1", [{"server_id": site.theirs, "power_state": "shutdown", "revision": 99}])
    conductors.volumes_released(CONTEXT, "host1", [{"server_id": site.theirs, "attachment_id": site.theirs}])
    assert site.client.wait_server(site.theirs, "ACTIVE")["status"] == "ACTIVE"


def _send(channel: Any, key: str, *, exchange: str = EXCHANGE, body: Any = "{}", **properties: Any) -> None:
    kombu.Producer(channel).publish(body, exchange=exchange, routing_key=key, **properties)


def _bind(channel: Any, key: str) -> None:
    channel.queue_declare(OURS, exclusive=True)
    channel.queue_bind(OURS, EXCHANGE, key)


FORBIDDEN: dict[str, Callable[[Any], Any]] = {
    **{f"send to {key}": lambda channel, key=key: _send(channel, key) for key in (
        "compute.host2", "compute", "volume.node1", "scheduler", f"reply.volume.node1.{ANSWER}",
        f"reply.compute.host2.{ANSWER}", f"reply.scheduler.{ANSWER}")},
    **{f"send by the default exchange to {key}": lambda channel, key=key: _send(channel, key, exchange="") for key in (
        "compute.host2", "conductor", "compute.host1")},
    **{f"read {queue}": lambda channel, queue=queue: channel.basic_get(queue) for queue in (
        "compute.host2", "conductor", "conductor.control", "scheduler", "volume.node1", f"reply.conductor.{ANSWER}")},
    **{f"be sent {key}": lambda channel, key=key: _bind(channel, key) for key in (
        "compute.host2", "conductor", "volume.node1", "#", "*.*", "compute.*", "reply.#")},
    **{f"empty {queue}": lambda channel, queue=queue: channel.queue_purge(queue) for queue in (
        "compute.host2", "conductor")},
    **{f"delete {queue}": lambda channel, queue=queue: channel.queue_delete(queue) for queue in (
        "compute.host2", "conductor", "scheduler", "volume.node1", "conductor.control")},
    **{f"make {queue}": lambda channel, queue=queue: channel.queue_declare(queue) for queue in (
        "compute", "compute.host3", "reply.conductor.a", "anything")},
    "delete the exchange": lambda channel: channel.exchange_delete(EXCHANGE),
    "make an exchange": lambda channel: channel.exchange_declare("openstack", "topic"),
    "listen to the broker's trace": lambda channel: (channel.queue_declare(OURS, exclusive=True),
                                                     channel.queue_bind(OURS, "amq.rabbitmq.trace", "#")),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_broker_refuses_to(site: Site, what: str) -> None:
    with site.secured.connect() as connection, pytest.raises(amqp.exceptions.AccessRefused):
        FORBIDDEN[what](connection.channel())


def test_the_broker_lets_nobody_name_another(site: Site) -> None:
    for user in ("conductor", "compute.host2", "api"):
        with site.secured.connect() as connection, pytest.raises(amqp.exceptions.PreconditionFailed):
            _send(connection.channel(), "conductor", user_id=user)


def _message(method: str, **args: Any) -> dict[str, Any]:
    context = {f"_context_{key}": value for key, value in CONTEXT.to_wire().items()}
    return _packed({**context, "_context_sender": "conductor", "method": method, "args": args, "version": "2.0",
                    "_unique_id": uuid.uuid4().hex})


def _packed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a message in the form that oslo.messaging sends it."""
    return {"oslo.version": "2.0", "oslo.message": json.dumps(body)}


def test_a_nameless_message_is_refused(site: Site) -> None:
    with site.secured.connect() as connection:
        _send(connection.channel(), "conductor", body=_message("run_operation", operation_id=site.theirs))
    wait_for(lambda: "An unnamed sender may not send run_operation" in site.secured.log_of("conductor"), "the refusal")


@pytest.mark.parametrize("user", [None, "compute.host1"])
def test_what_the_broker_forwards_is_refused(site: Site, user: str | None) -> None:
    """A queue of the thief's own that dead-letters into host2's: topic permissions do not cover this way."""
    arguments = {"x-dead-letter-exchange": EXCHANGE, "x-dead-letter-routing-key": "compute.host2", "x-message-ttl": 1}
    sent = _message("destroy_server", server_id=site.theirs, ports=[])
    with site.secured.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(OURS, exclusive=True, arguments=arguments)
        channel.queue_bind(OURS, EXCHANGE, OURS)
        _send(channel, OURS, body=sent, **({} if user is None else {"user_id": user}))
        who = user or "An unnamed sender"
        wait_for(lambda: f"{who} may not send destroy_server" in site.secured.log_of("host2"),
                 "the refusal")
    bus = Bus(site.secured.fleet.conf("conductor"))
    try:
        assert site.theirs in ComputeAPI(bus).get_inventory(CONTEXT, "host2")["servers"]
    finally:
        bus.close()


def test_nobody_else_can_answer_a_call(site: Site, stolen: Bus) -> None:
    """A call that names host2's queue for its answer: the conductor sends answers to queues for answers only."""
    with site.secured.connect() as connection:
        sent = _message("heartbeat", host="host1", report={})
        body = {**json.loads(sent["oslo.message"]), "_msg_id": ANSWER, "_reply_q": "compute.host2"}
        _send(connection.channel(), "conductor", user_id="compute.host1", body=_packed(body))
    wait_for(lambda: "An answer to compute.host2 was dropped" in site.secured.log_of("conductor"), "the refusal")


def test_nothing_is_said_in_the_clear_or_to_a_stranger(site: Site, tmp_path: Path) -> None:
    with pytest.raises((OSError, amqp.exceptions.AMQPError)), site.secured.connect(ssl=False) as connection:
        connection.connect()
    pki.init_authority(tmp_path, clock.utcnow())
    strangers = {"ca_certs": str(tmp_path / pki.CA_CERT), "cert_reqs": ssl.CERT_REQUIRED}
    with pytest.raises(ssl.SSLCertVerificationError), site.secured.connect(ssl=strangers) as connection:
        connection.connect()


def test_a_list_shows_that_all_is_as_it_should_be(site: Site) -> None:
    lines = site.secured.bus_user("list").splitlines()
    assert len(lines) == 6
    assert all(line.endswith(": as it should be") for line in lines)


def test_a_new_password_ends_the_thief(site: Site) -> None:
    with site.secured.connect() as connection:
        connection.connect()
        site.secured.bus_user("rotate", Sender("compute", "host1"))
        with pytest.raises((OSError, amqp.exceptions.AMQPError)):
            while True:
                connection.drain_events(timeout=30)
    with pytest.raises((OSError, amqp.exceptions.AMQPError)), site.secured.connect() as connection:
        connection.connect()
