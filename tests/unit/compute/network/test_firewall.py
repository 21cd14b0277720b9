"""The packet filter's script says what it should; that a kernel takes and obeys it is tests/integration's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from compute.network import firewall, names, rules
from compute.network.links import Layout
from hostler import errors
from hostler.resources.server.specs import FixedIpSpec, PortSpec, RouterPortSpec, RouterSpec, RuleSpec
from tests.harness import network_factories as factories

TAP = names.tap_name(factories.PORT_ID)
SHORT = names.short_id(factories.PORT_ID)


def render(*ports: PortSpec, uplink: str | None = None, **network: Any) -> str:
    layout = Layout(factories.network(**network), Path("/nowhere"), uplink)
    return firewall.render(layout, 7, ports, dict.fromkeys(firewall.groups_named(ports), ("10.0.0.4/31",)))


def chain(script: str, name: str) -> list[str]:
    body = script.partition(f" chain {name} {{\n")[2].partition("\n }")[0]
    return [line.strip() for line in body.splitlines()]


def test_a_script_replaces_both_tables_and_touches_no_other() -> None:
    script = render(factories.port())
    table = names.table_name(factories.NETWORK_ID)
    tables = [line for line in script.splitlines() if "table " in line]
    assert tables == [f"add table bridge {table}", f"delete table bridge {table}", f"add table inet {table}",
                      f"delete table inet {table}", f"table bridge {table} {{", f"table inet {table} {{"]
    assert script.count("{") == script.count("}")


@pytest.mark.parametrize("ipv6", [False, True])
def test_what_is_dropped_is_named_when_asked_for(ipv6: bool) -> None:
    port = factories.port()
    if ipv6:
        sixth = FixedIpSpec(ip_address="2001:db8::5", subnet_id="six")
        port = dataclasses.replace(port, fixed_ips=(*port.fixed_ips, sixth))
    layout = Layout(factories.network(), Path("/nowhere"), None)
    quiet, loud = (firewall.render(dataclasses.replace(layout, drop_log_rate=rate), 7, [port], {}) for rate in (0, 10))
    assert " log " not in quiet
    for kind in ("spoof", "egress", "ingress", *(("spoof6", "egress6", "ingress6") if ipv6 else ())):
        body = chain(loud, f"{kind}_{SHORT}")
        assert body[-2:] == [f'limit rate 10/second burst 10 packets log prefix "hostler drop: {kind} of port '
                             f'{port.id} "', "drop"]
        assert [line for line in body if " log " not in line] == chain(quiet, f"{kind}_{SHORT}")


def test_members_stand_once_however_many_rules_mean_them() -> None:
    rules = tuple(RuleSpec(direction="ingress", ethertype="IPv4", protocol=protocol, remote_is_group=True,
                           remote_group_id="ab-cd") for protocol in ("tcp", "udp"))
    script = render(factories.port(rules=rules), factories.port(id="2" * 32, rules=rules))
    assert script.count("10.0.0.4/31") == script.count("set group_abcd {") == 1
    assert script.count("ip saddr @group_abcd") == 4


def test_other_members_touch_their_sets_alone() -> None:
    table = names.table_name(factories.NETWORK_ID)
    members = {"group_a": ("10.0.0.4/31", "10.0.0.8/32"), "group_b": ()}
    assert firewall.render_groups(factories.NETWORK_ID, members).splitlines() == [
        f"flush set bridge {table} group_a", f"add element bridge {table} group_a {{ 10.0.0.4/31, 10.0.0.8/32 }}",
        f"flush set bridge {table} group_b"]


def test_members_behind_a_router_have_its_mac_and_their_single_addresses() -> None:
    link = RouterPortSpec(id="a", mac_address="fa:16:3e:01:00:01", network=factories.network(),
                          addresses=("10.0.0.1/24",))
    told = rules.members([f"fa:16:3e:00:00:0{number} {cidr}" for number, cidr in enumerate(
        ["10.0.0.7/32", "10.1.0.4/32", "10.1.0.5/32", "0.0.0.0/0", "10.1.0.0/24"], 1)])
    routed = factories.network(routers=(RouterSpec(id="r", interfaces=(link,)),))
    added = set(firewall.member_sets({"ab": told}, routed)["group_ab"]).difference(told)
    assert added == {"fa:16:3e:01:00:01 . 10.1.0.4/31"}
    assert firewall.member_sets({"ab": told}, factories.network())["group_ab"] == tuple(told)


def test_nobody_but_the_router_sends_from_its_mac() -> None:
    link = RouterPortSpec(id="a1-b2", mac_address="fa:16:3e:01:00:01", network=factories.network(),
                          addresses=("10.0.0.1/24",))
    script = render(factories.port(), routers=(RouterSpec(id="r", interfaces=(link,)),))
    tap = names.tap_name(factories.PORT_ID)
    assert f'iifname {{ "{tap}" }} ether saddr fa:16:3e:01:00:01 drop' in chain(script, "prerouting")


def test_removal_only_drops_the_tables() -> None:
    table = names.table_name(factories.NETWORK_ID)
    assert firewall.render_removal(factories.NETWORK_ID).splitlines() == [
        f"{verb} table {family} {table}" for family in ("bridge", "inet") for verb in ("add", "delete")]


def test_without_rules_both_directions_end_in_drop() -> None:
    script = render(factories.port())
    for direction in ("egress", "ingress"):
        lines = chain(script, f"{direction}_{SHORT}")
        assert lines[-1] == "drop"
        assert "meta mark and 0x30000000 == 0x10000000 return" in lines


def test_rules_stand_in_their_direction_only() -> None:
    web = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=80, port_max=80)
    script = render(factories.port(rules=(web, web)))
    assert chain(script, f"ingress_{SHORT}").count("ip protocol 6 tcp dport 80 return") == 1
    assert "ip protocol 6 tcp dport 80 return" not in chain(script, f"egress_{SHORT}")


def test_a_port_may_be_itself_and_its_pairs() -> None:
    claimed = firewall.claims(factories.port(
        fixed_ips=(FixedIpSpec(ip_address="10.0.0.5", subnet_id="subnet-1"),),
        allowed_pairs=({"ip_address": "10.0.0.4/31"}, {"ip_address": "10.0.0.9", "mac_address": "00:00:5E:00:01:01"})))
    assert claimed.by_mac == {"fa:16:3e:00:00:05": ["10.0.0.4/31"], "00:00:5e:00:01:01": ["10.0.0.9/32"]}


@pytest.mark.parametrize("mac", ["", "fa:16:3e:00:00", "fa:16:3e:00:00:05 } drop"])
def test_what_is_no_mac_never_reaches_the_script(mac: str) -> None:
    with pytest.raises(errors.Invalid):
        firewall.claims(factories.port(allowed_pairs=({"ip_address": "10.0.0.9", "mac_address": mac or "x"},)))


def test_a_port_without_address_may_still_ask_for_one() -> None:
    lines = chain(render(factories.port(fixed_ips=())), f"spoof_{SHORT}")
    assert "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return" in lines
    assert not any("ip saddr {" in line and "arp" not in line for line in lines)


def test_a_pair_of_any_address_makes_no_overlapping_set() -> None:
    script = render(factories.port(allowed_pairs=({"ip_address": "0.0.0.0/0"},)))
    assert "arp saddr ip { 0.0.0.0/0 } return" in script


def test_port_security_off_leaves_only_the_guard_of_the_services() -> None:
    script = render(factories.port(port_security=False))
    assert f"spoof_{SHORT}" not in script and f"ingress_{SHORT}" not in script
    assert chain(script, f"guard_{SHORT}") == ["ip saddr != { 0.0.0.0, 10.0.0.5/32 } drop",
                                               "arp saddr ip != { 0.0.0.0, 10.0.0.5/32 } drop"]


def test_a_port_that_is_down_drops_everything() -> None:
    script = render(factories.port(admin_state_up=False, port_security=False))
    for kind in ("spoof", "egress", "ingress"):
        assert chain(script, f"{kind}_{SHORT}") == ["drop"]
    assert f'oifname {{ "{TAP}" }} drop' in chain(script, "forward")


def test_host_gateway_masquerades_in_the_host_s_own_zone() -> None:
    script = render(factories.port(), host_gateway=True)
    assert "masquerade" in script
    assert "ct zone" not in script
    plain = render(factories.port())
    assert "masquerade" not in plain
    assert f'iifname "{names.bridge_name(factories.NETWORK_ID)}" ct zone set 7' in plain


def test_services_do_not_cross_the_uplink() -> None:
    script = render(factories.port(), uplink="eth1")
    assert 'oifname "eth1" arp daddr ip { 169.254.169.254, 10.0.0.2 } drop' in chain(script, "forward")
    assert 'iifname "eth1" ether type ip udp dport { 67, 68 } drop' in chain(script, "prerouting")
    assert "eth1" not in render(factories.port())


def test_guests_may_ping_the_gateway_and_no_more_of_the_host() -> None:
    open_, closed = render(factories.port(), host_gateway=True), render(factories.port())
    gateway = factories.network().subnets[0].gateway_ip
    assert chain(open_, "to_host")[-2:] == [f"ip daddr {{ {gateway} }} icmp type echo-request accept", "drop"]
    assert chain(closed, "to_host")[-2:] == ["ct state related accept", "drop"]
    bridge = names.bridge_name(factories.NETWORK_ID)
    assert f'iifname "{bridge}" oifname != "{bridge}" ip daddr 169.254.0.0/16 drop' in chain(open_, "routed")
    assert f'iifname "{bridge}" oifname != "{bridge}" drop' in chain(closed, "routed")


def test_every_packet_of_a_stateless_port_is_checked() -> None:
    rule = RuleSpec(direction="egress", ethertype="IPv4", stateful=False)
    assert "meta mark and 0x30000000 ==" not in render(factories.port(rules=(rule,)))
    both = factories.port(rules=(rule, RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp")))
    assert not both.stateless and not factories.port().stateless
