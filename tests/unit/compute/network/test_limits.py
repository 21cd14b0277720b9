"""Bandwidth limits: bytes of a second, bursts that a frame fits into, numbers that the kernel can multiply."""

from __future__ import annotations

import pytest

from compute.network import names
from compute.network.limits import chains, lines
from hostler.resources.server.specs import LimitSpec
from tests.harness import network_factories as factories


@pytest.mark.parametrize(("max_kbps", "burst_kbps", "expected"), [
    (1, 0, "125 bytes/second burst 65536"), (1000, 100, "125000 bytes/second burst 65536"),
    (1000, 8000, "125000 bytes/second burst 1000000"),
    (2147483647, 2147483647, "8000000000 bytes/second burst 8000000000")])
def test_a_limit(max_kbps: int, burst_kbps: int, expected: str) -> None:
    limit = LimitSpec(direction="egress", max_kbps=max_kbps, max_burst_kbps=burst_kbps)
    assert lines("egress", [limit]) == [f"limit rate over {expected} bytes drop"]
    assert lines("ingress", [limit]) == []


def test_what_has_no_limit_has_no_chain() -> None:
    none = LimitSpec(direction="egress", max_kbps=0)
    assert chains([factories.port(), factories.port(id="2" * 32, limits=(none,))]) == []


def test_each_direction_is_counted_at_its_end_of_the_bridge() -> None:
    port = factories.port(limits=tuple(LimitSpec(direction=way, max_kbps=8) for way in ("egress", "ingress")))
    tap, short = names.tap_name(port.id), names.short_id(port.id)
    script = [line.strip() for line in chains([port, factories.port(id="2" * 32)])]
    for direction, field, hook in (("egress", "iifname", "prerouting"), ("ingress", "oifname", "postrouting")):
        at = script.index(f"chain limits_{direction} {{")
        assert f"hook {hook}" in script[at + 1]
        assert script[at + 2] == f'{field} vmap {{ "{tap}" : jump limit_{direction}_{short} }}'
