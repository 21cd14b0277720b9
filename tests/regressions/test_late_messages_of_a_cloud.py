"""A deleted rule's port was open again, and an old name came back, when an old message arrived late at the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from compute.rpcapi import ComputeAPI
from hostler.context import RequestContext
from hostler.db.models import Server
from hostler.images.store import ImageStore
from hostler.resources.network.port_specs import members_for
from hostler.resources.server.records import server_spec
from hostler.resources.server.specs import ServerSpec
from tests.harness.client import Client
from tests.harness.conductor_rig import Rig
from tests.harness.inprocess import Cloud, wait_for

CTX = RequestContext.system()


def kept(cloud: Cloud, server_id: str, host: str) -> ServerSpec:
    network = cloud.agents[host].tools.network
    return network.servers[server_id]  # type: ignore[attr-defined,no-any-return]


def rules(cloud: Cloud, server_id: str, host: str) -> list[Any]:
    plugged = cloud.agents[host].tools.network.plugged  # type: ignore[attr-defined]
    return [rule.port_min for port in plugged.values() if port.server_id == server_id for rule in port.rules
            if rule.port_min]


def read(cloud: Cloud, server_id: str) -> tuple[ServerSpec, Any]:
    """Return what a conductor reads now and may send much later."""
    with cloud.db.reading() as session:
        spec = server_spec(session, cloud.conf, ImageStore(cloud.conf), server_id)
        return spec, members_for(session, spec.ports)


def test_what_a_conductor_read_before_a_change_does_no_harm(cloud: Cloud, client: Client, image: str) -> None:
    server_id = client.create_server(image, "late")
    server = client.wait_server(server_id, "ACTIVE")
    host = server["OS-EXT-SRV-ATTR:host"]
    group = client.get("/network/v2.0/security-groups?name=default").json()["security_groups"][0]["id"]
    rule = client.post("/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22,
        "port_range_max": 22}}).json()["security_group_rule"]["id"]
    wait_for(lambda: rules(cloud, server_id, host) == [22], "the rule")
    spec, groups = read(cloud, server_id)
    client.delete(f"/network/v2.0/security-group-rules/{rule}")
    client.request("PUT", f"/compute/v2.1/servers/{server_id}", json={"server": {"name": "renamed"}})
    client.request("PUT", f"/compute/v2.1/servers/{server_id}/metadata/k", json={"meta": {"k": "v"}})
    wait_for(lambda: kept(cloud, server_id, host).metadata == {"k": "v"}, "the metadata")
    wait_for(lambda: rules(cloud, server_id, host) == [], "the rule's end")
    compute = ComputeAPI(cloud.bus)
    compute.apply_port_rules(CTX, host, spec.ports, groups)
    compute.update_server(CTX, host, spec, groups)
    compute.update_network(CTX, host, spec.ports[0].network, spec.ports, groups)
    assert rules(cloud, server_id, host) == []
    assert (kept(cloud, server_id, host).name, kept(cloud, server_id, host).metadata) == ("renamed", {"k": "v"})


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A conductor whose one host does what it is asked."""
    made = Rig(tmp_path)
    made.cloud.images.signed_url.return_value = "/x"  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("changes", [True, False])
def test_what_changed_before_the_host_knew_the_server_is_repeated(rig: Rig, changes: bool) -> None:
    told: list[tuple[str, str, int]] = []
    server_id, operation_id = rig.accept("server.create")
    spawn = rig.host.spawn_server

    def slow(*arguments: Any) -> dict[str, Any]:
        if changes:  # its own message reached the host before this one
            rig.db.write(lambda session: session.execute(sa.update(Server).where(Server.id == server_id).values(
                name="renamed", revision=Server.revision + 1)))
        return spawn(*arguments)

    rig.host.spawn_server = slow  # type: ignore[method-assign]
    rig.host.update_server = lambda _context, _host, spec, _groups: told.append(  # type: ignore[attr-defined]
        ("server", spec.name, spec.revision))
    rig.host.apply_port_rules = lambda _context, _host, ports, _groups: told.append(  # type: ignore[attr-defined]
        ("rules", "", len(ports)))
    assert rig.run(operation_id) is None
    assert told == ([("server", "renamed", 1), ("rules", "", 0)] if changes else [])
