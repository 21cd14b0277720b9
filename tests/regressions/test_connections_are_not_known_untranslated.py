"""A host that came to lead outside had the rules that translate before the routes that need them. A guest's packet in
between went to the host that led before, and the connection was known as one that is not translated: by its floating IP
it answered no more, for as long as it was kept alive. `tests/integration/test_elected_router.py` does it for real."""

from __future__ import annotations

from compute.network.router_rules import HostRouter, render
from hostler.resources.server.specs import RouterPortSpec, RouterSpec
from tests.harness.network_factories import network

INNER = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:00:00:01", network=network(),
                       addresses=("10.0.0.1/24", "10.0.1.1/24", "fd00::1/64"))
GATEWAY = RouterPortSpec(id="b" * 32, mac_address="fa:16:3e:00:00:02", network=network())


def test_what_goes_outside_goes_by_the_external_network_or_not_at_all() -> None:
    router = RouterSpec(id="r", interfaces=(INNER,), gateway=GATEWAY, elected={"host": "one", "tunnel_ip": ""},
                        routes=({"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"},))
    refused = f'oifname != "hrn{"b" * 11}" ip daddr != {{ 10.0.0.0/23, 10.9.0.0/16 }} drop'
    lines = [line.strip() for line in render(HostRouter(router, "one")).splitlines()]
    assert lines.index(refused) == lines.index("type filter hook forward priority 0; policy accept;") + 1
    # The others send it to that host.
    assert refused not in render(HostRouter(router, "two"))
