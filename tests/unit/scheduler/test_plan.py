"""The decision: counts of what each filter removed, order by weight, ties, subsets, and the weighers themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from scheduler.plan import Selector
from tests.harness.scheduler_parts import FILTERS, WEIGHERS
from tests.harness.scheduler_rig import make_request, make_snapshot


def weighed(*names: str, multiplier: float = 1.0, **options: Any) -> Selector:
    return Selector(FILTERS, {name: (WEIGHERS[name], multiplier) for name in names}, **options)


def test_counts_what_each_filter_removed_of_those_that_reached_it() -> None:
    snapshot = make_snapshot({"up": False}, {"zone": "south"}, {"used": (8, 0, 0)}, {"used": (8, 0, 0)})
    plan = weighed("ram").select(make_request(zone="nova"), snapshot)
    assert plan.rows == ()
    assert plan.removed == {"service_up": (1, 4), "availability_zone": (1, 3), "capacity": (2, 2)}


def test_no_hosts_at_all() -> None:
    plan = weighed("ram").select(make_request(), make_snapshot())
    assert plan.rows == () and plan.removed == {} and not plan.may_return


@pytest.mark.parametrize(("silent_host", "expected"), [
    ({"up": False, "silent": True}, True),
    ({"up": False}, False),
    ({"up": False, "silent": True, "zone": "south"}, False),
])
def test_a_silent_host_that_would_have_passed_may_return(silent_host: dict[str, Any], expected: bool) -> None:
    snapshot = make_snapshot(silent_host, {"used": (8, 0, 0)})
    assert weighed().select(make_request(zone="nova"), snapshot).may_return is expected


@pytest.mark.parametrize(("weigher", "hosts", "best"), [
    ("ram", ({"used": (0, 4096, 0)}, {"used": (4, 0, 90)}), 1),
    ("cpu", ({"used": (0, 4096, 90)}, {"used": (4, 0, 0)}), 0),
    ("disk", ({"used": (0, 0, 90)}, {"used": (4, 4096, 0)}), 1),
    ("io_ops", ({"io_ops": 3}, {"io_ops": 1}), 1),
    ("build_failures", ({"build_failures": 1}, {}), 1),
])
def test_weighers_prefer(weigher: str, hosts: tuple[dict[str, Any], ...], best: int) -> None:
    assert weighed(weigher).select(make_request(), make_snapshot(*hosts)).rows[0] == best
    assert weighed(weigher, multiplier=-1.0).select(make_request(), make_snapshot(*hosts)).rows[0] == 1 - best


@pytest.mark.parametrize(("policy", "best"), [("soft-affinity", 1), ("soft-anti-affinity", 0)])
def test_soft_group_policies_prefer(policy: str, best: int) -> None:
    request = make_request(group_policy=policy, group_host_ids=("id1",))
    assert weighed("server_group_soft").select(request, make_snapshot({}, {})).rows[0] == best


def test_ranks_best_first_and_no_more_than_asked() -> None:
    snapshot = make_snapshot(*({"used": (0, ram, 0)} for ram in (300, 100, 500, 0, 400, 200)))
    assert weighed("ram", ranked=3).select(make_request(), snapshot).rows == (3, 1, 5)


def test_ties_are_broken_at_random() -> None:
    selector, snapshot = weighed("ram"), make_snapshot({}, {}, {}, {})
    winners = Counter(selector.select(make_request(), snapshot).rows[0] for _ in range(200))
    assert set(winners) == {0, 1, 2, 3}
    assert len({selector.select(make_request(), snapshot, seed=7).rows for _ in range(5)}) == 1


def test_subset_draws_from_the_best_only() -> None:
    selector = weighed("ram", subset_size=2)
    snapshot = make_snapshot({"used": (0, 4096, 0)}, {"used": (0, 1024, 0)}, {})
    assert {selector.select(make_request(), snapshot).rows[0] for _ in range(100)} == {1, 2}


def test_a_plan_changes_neither_request_nor_snapshot() -> None:
    snapshot, request = make_snapshot({"traits": ("A",), "silent": True}, {}), make_request(
        extra_specs={"trait:A": "required"}, group_policy="affinity", group_host_ids=("id0",))
    before = {name: getattr(snapshot, name).copy() for name in ("used", "generation", "up", "silent", "io_ops")}
    trait = snapshot.traits["A"].copy()
    weighed(*WEIGHERS).select(request, snapshot)
    assert all((getattr(snapshot, name) == value).all() for name, value in before.items())
    assert (snapshot.traits["A"] == trait).all()
