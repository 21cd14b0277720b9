"""Names are short enough for the kernel, stable, and apart from each other."""

from __future__ import annotations

from compute.network import names
from hostler import ids

NETWORK = "6b1f3a52-90ab-4cde-8f01-23456789abcd"


def test_names_are_stable() -> None:
    assert names.bridge_name(NETWORK) == "hbr6b1f3a5290a"
    assert names.tap_name(NETWORK) == "htp6b1f3a5290a"
    assert names.namespace_name(NETWORK) == f"hostler-{NETWORK}"
    assert names.table_name(NETWORK) == "hostler_6b1f3a5290a"


def test_interface_names_fit_and_differ() -> None:
    made = [make(NETWORK) for make in (names.bridge_name, names.tap_name, names.veth_host_name, names.veth_inner_name)]
    assert len(set(made)) == 4
    assert all(len(name) <= 15 for name in made)


def test_macs_are_local_unicast_stable_and_differ() -> None:
    other = ids.new_id()
    macs = [names.bridge_mac(NETWORK), names.service_mac(NETWORK), names.bridge_mac(other), names.service_mac(other)]
    assert len(set(macs)) == 4
    assert names.bridge_mac(NETWORK) == macs[0]
    for mac in macs:
        first = int(mac[:2], 16)
        assert first & 1 == 0 and first & 2 == 2
        assert len(mac) == 17
