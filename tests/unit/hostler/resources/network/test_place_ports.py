"""Ports whose address another transaction takes first."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler.db.models import FixedIp, Network, PortSecurityGroup, SecurityGroup, SecurityGroupChange, Subnet
from hostler.resources.network import ipam, place_ports, security_groups
from tests.harness.network_core import DEMO, Cloud


def test_a_lost_race_for_an_address_is_run_again_as_a_whole(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    network_id = cloud.network("10.0.0.0/24")
    choose, tries = ipam.choose, []

    def late(session: Any, requests: Any, **options: Any) -> Any:
        """Choose the address that is taken, as one who looked before it was."""
        tries.append(session)
        return [ipam.Choice(requests[0].subnets[0].id, "10.0.0.9")] if len(tries) < 3 else choose(session, requests)

    def work(session: Any) -> tuple[str, str]:
        subnet = session.scalars(sa.select(Subnet).where(Subnet.network_id == network_id)).one()
        group = security_groups.ensure_default(session, DEMO)
        [port] = place_ports.place(session, cloud.conf, [place_ports.Draft(
            session.get_one(Network, network_id), DEMO, (ipam.AddressRequest((subnet,)),), group_ids=(group.id,))])
        return port.id, group.id

    monkeypatch.setattr(ipam, "choose", late)
    first, group_id = cloud.db.write(work)
    second, _ = cloud.db.write(work)
    assert len(set(map(id, tries))) == 3  # the second chose again in a transaction of its own
    with cloud.db.reading() as session:
        addresses = dict(session.execute(sa.select(FixedIp.port_id, FixedIp.ip_address)).tuples().all())
        assert addresses[first] == "10.0.0.9" != addresses[second]
        assert set(session.scalars(sa.select(PortSecurityGroup.port_id))) == {first, second}
        # What was undone is not counted.
        assert session.get_one(SecurityGroup, group_id).members_revision == 2
        assert len(session.scalars(sa.select(SecurityGroupChange)).all()) == 2
