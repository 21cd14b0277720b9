"""Each filter: whom it passes, and that it stays silent when it is not asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.scheduler_parts import FILTERS
from tests.harness.scheduler_rig import make_request, make_snapshot


def passed(name: str, snapshot: Any, **request: Any) -> list[int] | None:
    mask = FILTERS[name].mask(make_request(**request), snapshot)
    return None if mask is None else [row for row, passes in enumerate(mask) if passes]


def test_service_up_passes_hosts_that_are_up() -> None:
    assert passed("service_up", make_snapshot({}, {"up": False}, {})) == [0, 2]


def test_availability_zone() -> None:
    snapshot = make_snapshot({"zone": "north"}, {"zone": "south"}, {"zone": "north"})
    assert passed("availability_zone", snapshot, zone="north") == [0, 2]
    assert passed("availability_zone", snapshot, zone="west") == []
    assert passed("availability_zone", snapshot) is None


def test_requested_host() -> None:
    assert passed("requested_host", make_snapshot({}, {}), host="h1") == [1]
    assert passed("requested_host", make_snapshot({}, {}), host="nowhere") == []
    assert passed("requested_host", make_snapshot({}, {})) is None


def test_excluded_hosts_by_id_and_by_name() -> None:
    assert passed("excluded_hosts", make_snapshot({}, {}, {}), excluded_hosts=("id0", "h2", "gone")) == [1]


@pytest.mark.parametrize("used", [(8, 0, 0), (0, 7681, 0), (0, 0, 100)])
def test_capacity_counts_each_amount(used: tuple[int, int, int]) -> None:
    assert passed("capacity", make_snapshot({"used": used}, {"used": (7, 7680, 99)})) == [1]


def test_capacity_of_a_host_that_shrank_below_its_use() -> None:
    assert passed("capacity", make_snapshot({"capacity": (2, 8192, 100), "used": (4, 0, 0)})) == []


def test_traits_required_and_forbidden() -> None:
    snapshot = make_snapshot({"traits": ("A",)}, {"traits": ("A", "B")}, {})
    assert passed("traits", snapshot, extra_specs={"trait:A": "required"}) == [0, 1]
    assert passed("traits", snapshot, extra_specs={"trait:A": "required", "trait:B": "forbidden"}) == [0]
    assert passed("traits", snapshot, image_properties={"trait:B": "required"}) == [1]
    assert passed("traits", snapshot, extra_specs={"trait:UNKNOWN": "required"}) == []
    assert passed("traits", snapshot, extra_specs={"trait:UNKNOWN": "forbidden"}) == [0, 1, 2]
    assert passed("traits", snapshot, extra_specs={"hw:cpu_policy": "shared"}) is None


def test_networks_need_hosts_that_carry_them() -> None:
    flat, vxlan = "network:flat", "network:vxlan"
    snapshot = make_snapshot({"traits": (flat, vxlan, "physnet:lan")}, {"traits": (flat, "physnet:dmz")}, {})
    assert passed("traits", snapshot, networks=(vxlan,)) == [0]
    assert passed("traits", snapshot, networks=("physnet:lan",)) == [0, 2], "an older agent does not say what it has"
    assert passed("traits", snapshot, networks=(vxlan, "physnet:dmz")) == []
    assert passed("traits", snapshot, networks=("physnet:dmz",), extra_specs={"trait:A": "required"}) == []


def test_aggregate_extra_specs_scoped_keys_only() -> None:
    snapshot = make_snapshot({}, {}, {}, aggregates=(({"ssd": "true", "tier": "1,2"}, (0, 1)), ({"tier": "3"}, (2,))))
    scope = "aggregate_instance_extra_specs:"
    assert passed("aggregate_extra_specs", snapshot, extra_specs={scope + "ssd": "true"}) == [0, 1]
    assert passed("aggregate_extra_specs", snapshot, extra_specs={scope + "tier": "2"}) == [0, 1]
    assert passed("aggregate_extra_specs", snapshot, extra_specs={scope + "tier": ">= 3"}) == [2]
    assert passed("aggregate_extra_specs", snapshot, extra_specs={scope + "tier": "<or> 1 <or> 3"}) == [0, 1, 2]
    assert passed("aggregate_extra_specs", snapshot, extra_specs={scope + "ssd": "true", scope + "tier": "3"}) == []
    assert passed("aggregate_extra_specs", snapshot, extra_specs={"ssd": "true"}) is None


def test_image_properties_architecture_and_hypervisor() -> None:
    snapshot = make_snapshot({}, {"arch": "aarch64"}, {"hypervisor_type": "fake"})
    assert passed("image_properties", snapshot, image_properties={"hw_architecture": "arm64"}) == [1]
    assert passed("image_properties", snapshot, image_properties={"architecture": "x86_64"}) == [0, 2]
    assert passed("image_properties", snapshot, image_properties={"img_hv_type": "kvm"}) == [0, 1]
    assert passed("image_properties", snapshot,
                  image_properties={"hw_architecture": "x86_64", "img_hv_type": "qemu"}) == [0]
    assert passed("image_properties", snapshot, image_properties={"os_distro": "debian"}) is None


def test_server_group_policies() -> None:
    snapshot = make_snapshot({}, {}, {})
    members = ("id0", "id1", "id1")
    assert passed("server_group", snapshot, group_policy="affinity", group_host_ids=members) == [0, 1]
    assert passed("server_group", snapshot, group_policy="anti-affinity", group_host_ids=members) == [2]
    assert passed("server_group", snapshot, group_policy="anti-affinity", group_host_ids=members,
                  group_rules={"max_server_per_host": 2}) == [0, 2]
    assert passed("server_group", snapshot, group_policy="soft-affinity", group_host_ids=members) is None
    assert passed("server_group", snapshot, group_policy="affinity") is None


def test_hints_same_and_different_host() -> None:
    snapshot = make_snapshot({}, {}, {})
    assert passed("same_host", snapshot, hints={"same_host": ["s"]}, hint_host_ids={"same_host": ["id1"]}) == [1]
    assert passed("same_host", snapshot, hints={"same_host": ["gone"]}) == []
    assert passed("same_host", snapshot) is None
    assert passed("different_host", snapshot, hint_host_ids={"different_host": ["id1"]}) == [0, 2]
    assert passed("different_host", snapshot, hints={"different_host": ["gone"]}) is None
