"""Which back end a volume goes to: filters, weigher, the plan, and the reasons when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.backend_plan import BackendSelector
from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState
from tests.harness import scheduler_parts as parts

ORDER = ("service_up", "availability_zone", "requested_backend", "excluded_backends", "other_storage", "backup_store",
         "multiattach", "capabilities", "capacity", "same_backend", "different_backend")


def make_backend(identity: str = "b", **values: Any) -> BackendState:
    """Return a healthy thick back end of 100 GiB, half of it given out."""
    return BackendState(**{
        "id": identity, "name": identity, "node": "n", "zone": "nova", "driver": "fake", "generation": 0,
        "capabilities": {}, "total_gib": 100.0, "free_gib": 100.0, "reserved_percent": 0, "over_subscription": 20.0,
        "used_gib": 50, "up": True, "silent": False, "backup_store": None, **values})


def make_request(**values: Any) -> BackendRequest:
    """Return a request for 10 GiB."""
    return BackendRequest(**{"volume_id": "v", "size_gib": 10, **values})


def passes(name: str, request: BackendRequest, backend: BackendState, *others: BackendState) -> bool:
    """Ask one filter."""
    return bool(parts.BACKEND_FILTERS[name].passes(request, backend, [backend, *others]))


def selector(**multipliers: float) -> BackendSelector:
    """Return a selector of all filters."""
    weighers = {name: (one, multipliers.get(name, 1.0)) for name, one in parts.BACKEND_WEIGHERS.items()}
    return BackendSelector({name: parts.BACKEND_FILTERS[name] for name in ORDER}, weighers)


def test_every_filter_is_among_the_default_ones() -> None:
    assert set(ORDER) == set(parts.BACKEND_FILTERS)


def test_a_node_that_is_down_takes_nothing() -> None:
    assert passes("service_up", make_request(), make_backend())
    assert not passes("service_up", make_request(), make_backend(up=False))


@pytest.mark.parametrize(("zone", "bound", "expected"), [
    (None, None, True), ("nova", None, True), ("ag1", None, False), ("nova", "ag1, nova", True), (None, "ag1", False)])
def test_zone(zone: str | None, bound: str | None, expected: bool) -> None:
    specs = {"RESKEY:availability_zones": bound} if bound else {}
    assert passes("availability_zone", make_request(zone=zone, extra_specs=specs), make_backend()) is expected


def test_named_and_excluded_back_ends() -> None:
    assert passes("requested_backend", make_request(backend_id="b"), make_backend("b"))
    assert not passes("requested_backend", make_request(backend_id="b"), make_backend("c"))
    assert not passes("excluded_backends", make_request(excluded_backends=("b",)), make_backend("b"))
    assert passes("excluded_backends", make_request(excluded_backends=("c",)), make_backend("b"))


@pytest.mark.parametrize(("values", "expected"), [
    ({}, True),
    ({"used_gib": 90}, True),
    ({"used_gib": 91}, False),
    ({"used_gib": 85, "reserved_percent": 10}, False),
    ({"free_gib": 9.9}, False),  # others fill the same storage
    ({"free_gib": 19.0, "reserved_percent": 10}, False),
    ({"used_gib": 1990, "capabilities": {"thin_provisioning": True}}, True),
    ({"used_gib": 1991, "capabilities": {"thin_provisioning": True}}, False),
    ({"used_gib": 500, "free_gib": 0.5, "capabilities": {"thin_provisioning": True}}, True),
    ({"used_gib": 500, "free_gib": 0.4, "capabilities": {"thin_provisioning": True}}, False),
    ({"total_gib": 0.0, "free_gib": 0.0, "used_gib": 0}, False),
])
def test_capacity(values: dict[str, Any], expected: bool) -> None:
    assert passes("capacity", make_request(), make_backend(**values)) is expected


CAPABILITIES = {"volume_backend_name": "fast", "multiattach": True, "iops": 5000, "qos": {"max": 10},
                "kinds": ["ssd", "nvme"], "compression": "True"}


@pytest.mark.parametrize(("specs", "expected"), [
    ({}, True),
    ({"volume_backend_name": "fast"}, True),
    ({"volume_backend_name": "slow"}, False),
    ({"volume_backend_name": "<or> slow <or> fast"}, True),
    ({"capabilities:volume_backend_name": "s== fast"}, True),
    ({"multiattach": "<is> True"}, True),
    ({"multiattach": "<is> False"}, False),
    ({"multiattach": "true"}, True),
    ({"compression": "<is> true"}, True),
    ({"iops": ">= 4000"}, True),
    ({"capabilities:iops": ">= 6000"}, False),
    ({"capabilities:qos:max": "10"}, True),
    ({"capabilities:qos:min": "10"}, False),
    ({"kinds": "nvme"}, True),
    ({"kinds": "<in> hd"}, False),
    ({"unheard_of": "1"}, False),
    ({"provisioning:type": "thin"}, True),  # another scope
    ({"volume_backend_name": "fast", "iops": "<= 10"}, False),
])
def test_capabilities(specs: dict[str, str], expected: bool) -> None:
    backend = make_backend(capabilities=CAPABILITIES)
    assert passes("capabilities", make_request(extra_specs=specs), backend) is expected


def test_multiattach_and_backup_store() -> None:
    assert not passes("multiattach", make_request(multiattach=True), make_backend())
    assert passes("multiattach", make_request(multiattach=True), make_backend(capabilities={"multiattach": True}))
    assert not passes("backup_store", make_request(backup_store="s"), make_backend())
    assert passes("backup_store", make_request(backup_store="s"), make_backend(backup_store="s"))


def test_hints() -> None:
    near = make_request(hints={"same_host": ["x"]}, hint_backend_ids={"same_host": ["b"]})
    assert passes("same_backend", near, make_backend("b"))
    assert not passes("same_backend", near, make_backend("c"))
    assert not passes("same_backend", make_request(hints={"same_host": ["gone"]}), make_backend("c"))
    far = make_request(hints={"different_host": ["x"]}, hint_backend_ids={"different_host": ["b"]})
    assert not passes("different_backend", far, make_backend("b"))
    assert passes("different_backend", far, make_backend("c"))


@pytest.mark.parametrize(("mine", "theirs", "driver", "expected"), [
    ("s1", "s2", "fake", True), ("s1", "s1", "fake", False), (None, "s2", "fake", False), (None, None, "fake", False),
    (None, None, "rbd", True), ("s1", "s1", "rbd", True)])
def test_a_moving_volume_goes_to_what_is_surely_other_storage(mine: str | None, theirs: str | None, driver: str,
                                                              expected: bool) -> None:
    present = make_backend("b", capabilities={"storage_id": mine})
    other = make_backend("c", capabilities={"storage_id": theirs}, driver=driver)
    request = make_request(moving=True, present_backend_id="b")
    assert passes("other_storage", request, other, present) is expected
    assert not passes("other_storage", request, present, other)
    assert passes("other_storage", make_request(), other, present)


def test_the_emptiest_is_first_or_last_with_a_negative_multiplier() -> None:
    states = [make_backend(f"b{number}", used_gib=10 * number) for number in range(5)]
    assert [state.id for state in selector().select(make_request(), states).backends] == ["b0", "b1", "b2", "b3", "b4"]
    assert selector(free_capacity=-1.0).select(make_request(), states).backends[0].id == "b4"


def test_the_reasons_are_counted_in_order() -> None:
    states = [make_backend("a", up=False), make_backend("b", zone="ag1"), make_backend("c", used_gib=100)]
    plan = selector().select(make_request(zone="nova"), states)
    assert plan.backends == ()
    assert plan.removed == {"service_up": (1, 3), "availability_zone": (1, 2), "capacity": (1, 1)}
    assert not plan.may_return


def test_a_silent_back_end_that_would_pass_the_rest_may_return() -> None:
    silent = make_backend("a", up=False, silent=True)
    assert selector().select(make_request(), [silent]).may_return
    assert not selector().select(make_request(zone="ag1"), [silent]).may_return


def test_a_volume_may_stay_where_its_new_type_fits_whatever_room_there_is() -> None:
    full = make_backend(used_gib=100, up=False, capabilities={"iops": 5})
    request = make_request(moving=True, may_stay=True, present_backend_id="b", extra_specs={"iops": ">= 5"})
    assert selector().may_stay(request, full, [full])
    assert not selector().may_stay(make_request(extra_specs={"iops": ">= 6"}), full, [full])


