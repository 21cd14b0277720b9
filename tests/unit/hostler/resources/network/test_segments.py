"""Kinds of networks: which segment a new one gets, and which it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import errors
from hostler.db.models import Network
from hostler.resources.network import segments
from tests.harness.network_core import DEMO, Cloud
from tests.harness.network_rest import ADMIN, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over a cloud whose tenants get VXLAN networks."""
    cloud.conf.set_override("tenant_network_type", "vxlan", "network")
    cloud.conf.set_override("vni_ranges", ["10:11", "20"], "network")
    cloud.conf.set_override("vlan_ranges", ["wire:100:101"], "network")
    return Api(cloud)


def segment(api: Api, network_id: str) -> tuple[str, str | None, int | None]:
    shown = api.call("GET", f"/v2.0/networks/{network_id}", token=ADMIN)["network"]
    return tuple(shown[f"provider:{name}"]  # type: ignore[return-value]
                 for name in ("network_type", "physical_network", "segmentation_id"))


def test_members_get_the_lowest_free_number_and_do_not_see_it(api: Api) -> None:
    made = [api.make("network", "networks") for _ in range(3)]
    assert [segment(api, network["id"])[2] for network in made] == [10, 11, 20]
    assert not [key for key in made[0] if key.startswith("provider:")] and made[0]["mtu"] == 1450
    answer = api.call("POST", "/v2.0/networks", {"network": {}}, status=409)["NeutronError"]
    assert answer["type"] == "NoNetworkAvailable" and "3 of 3 vxlan segments are in use" in answer["message"]
    api.call("DELETE", f"/v2.0/networks/{made[1]['id']}", status=204)
    assert segment(api, api.make("network", "networks")["id"]) == ("vxlan", None, 11)


def test_administrators_name_kind_and_number(api: Api) -> None:
    def make(**values: Any) -> tuple[str, str | None, int | None]:
        body = {f"provider:{name}": value for name, value in values.items()}
        return segment(api, api.make("network", "networks", token=ADMIN, **body)["id"])

    assert make(network_type="vxlan", segmentation_id=5000) == ("vxlan", None, 5000)
    assert make(network_type="vlan") == ("vlan", "wire", 100)
    assert make(network_type="vlan", physical_network="wire", segmentation_id=101) == ("vlan", "wire", 101)
    assert make(network_type="vlan", physical_network="other", segmentation_id=101) == ("vlan", "other", 101)
    assert make(network_type="flat", physical_network="wire") == ("flat", "wire", None)
    assert make(physical_network="third") == ("flat", "third", None)
    assert segment(api, api.make("network", "networks", token=ADMIN, **{"router:external": True})["id"])[0] == "flat"


@pytest.mark.parametrize(("values", "status", "kind"), [
    ({"network_type": "vxlan", "segmentation_id": 10}, 409, "TunnelIdInUse"),
    ({"network_type": "vlan", "physical_network": "wire", "segmentation_id": 100}, 409, "VlanIdInUse"),
    ({"network_type": "flat", "physical_network": "lan"}, 409, "FlatNetworkInUse"),
    ({"network_type": "vxlan", "segmentation_id": 0}, 400, "InvalidInput"),
    ({"network_type": "vlan", "physical_network": "wire", "segmentation_id": 4095}, 400, "InvalidInput"),
    ({"network_type": "vlan", "segmentation_id": 7}, 400, "InvalidInput"),
    ({"network_type": "vlan", "physical_network": "unknown"}, 400, "InvalidInput"),
    ({"network_type": "vxlan", "physical_network": "wire"}, 400, "InvalidInput"),
    ({"network_type": "flat", "segmentation_id": 7}, 400, "InvalidInput"),
    ({"network_type": "geneve"}, 501, "NotImplementedError")])
def test_what_is_refused(api: Api, values: dict[str, Any], status: int, kind: str) -> None:
    for taken in ({"network_type": "vxlan"}, {"network_type": "vlan"}, {"physical_network": "lan"}):
        api.make("network", "networks", token=ADMIN, **{f"provider:{name}": value for name, value in taken.items()})
    body = {"network": {f"provider:{name}": value for name, value in values.items()}}
    api.refused("POST", "/v2.0/networks", body, status, kind, token=ADMIN)


def test_frames_must_fit_into_the_tunnels(api: Api) -> None:
    made = api.make("network", "networks", mtu=1400)
    path = f"/v2.0/networks/{made['id']}"
    api.refused("POST", "/v2.0/networks", {"network": {"mtu": 1451}}, 400, "InvalidInput")
    api.refused("PUT", path, {"network": {"mtu": 1500}}, 400, "InvalidInput")
    assert api.call("PUT", path, {"network": {"mtu": 1450}})["network"]["mtu"] == 1450


def test_a_segment_stays_with_its_network(api: Api) -> None:
    path = f"/v2.0/networks/{api.make('network', 'networks')['id']}"
    for change in ({"provider:segmentation_id": 11}, {"provider:network_type": "vlan"},
                   {"provider:physical_network": "wire"}):
        api.refused("PUT", path, {"network": change}, 400, "InvalidInput", token=ADMIN)
    same = {"provider:segmentation_id": 10, "provider:network_type": "vxlan", "name": "blue"}
    assert api.call("PUT", path, {"network": same}, token=ADMIN)["network"]["name"] == "blue"


def test_a_flat_network_that_changes_its_wire_lets_go_of_the_old_one(api: Api) -> None:
    made = api.make("network", "networks", token=ADMIN, **{"provider:physical_network": "lan"})
    path = f"/v2.0/networks/{made['id']}"
    api.call("PUT", path, {"network": {"provider:physical_network": "dmz"}}, token=ADMIN)
    api.make("network", "networks", token=ADMIN, **{"provider:physical_network": "lan"})
    api.refused("PUT", path, {"network": {"provider:physical_network": "lan"}}, 409, "FlatNetworkInUse", token=ADMIN)


def test_a_number_lost_to_a_concurrent_request_is_passed_over(cloud: Cloud,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.network(None, network_type="vxlan", segmentation_id=1, segment="vxlan//1")
    answers = iter([(None, 1), (None, 2)])
    lost: list[set[int]] = []

    def free(_session: Any, _conf: Any, _network: Network, known: set[int]) -> tuple[None, int]:
        lost.append(set(known))
        return next(answers)  # type: ignore[return-value]

    monkeypatch.setattr(segments, "_free", free)
    network = Network(name="late", project_id=DEMO, network_type="vxlan")
    cloud.db.write(lambda session: segments.place(session, cloud.conf, network))
    assert lost == [set(), {1}] and cloud.count(Network, Network.segment == "vxlan//2") == 1


def test_another_releases_flat_network_keeps_its_wire(cloud: Cloud) -> None:
    cloud.network(None, physical_network="lan")
    with pytest.raises(errors.InUse):
        cloud.db.write(lambda session: segments.place(session, cloud.conf, Network(
            name="late", project_id=DEMO, network_type="flat", physical_network="lan")))
