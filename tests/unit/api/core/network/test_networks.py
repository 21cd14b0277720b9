"""Networks and what every noun shares: visibility, filters, pages, tags, errors, documents."""

from __future__ import annotations

import pytest

from api.openstack.network import not_built
from hostler import ids
from tests.harness.network_core import DEMO, OTHER, Cloud, Statements
from tests.harness.network_rest import ADMIN, OTHERS, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def names(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return sorted(item["name"] for item in answer["networks"])


def test_documents_need_no_token(api: Api) -> None:
    version = api.call("GET", "", token=None)["versions"][0]
    assert version["id"] == "v2.0" and version["links"][0]["href"].endswith("/network/v2.0/")
    assert {item["collection"] for item in api.call("GET", "/v2.0", token=None)["resources"]} >= {"networks", "ports"}
    api.call("GET", "/v2.0/networks", token=None, status=401)


def test_extensions_by_alias_and_not_by_name(api: Api) -> None:
    aliases = {item["alias"] for item in api.call("GET", "/v2.0/extensions")["extensions"]}
    assert {"security-group", "port-security", "standard-attr-tag", "pagination"} <= aliases
    assert api.call("GET", "/v2.0/extensions/quotas")["extension"]["alias"] == "quotas"
    api.refused("GET", "/v2.0/extensions/Availability Zone", None, 404, "ExtensionNotFound")


@pytest.mark.parametrize("path", ["subnetpool", "nothing/at/all"])
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    api.refused("GET", f"/v2.0/{path}", None, 404, "HTTPNotFound")


@pytest.mark.parametrize(("path", "feature"), sorted({**not_built.NOT_BUILT, **not_built.ABSENT_INNER}.items()))
def test_what_is_not_built_says_so(api: Api, path: str, feature: str) -> None:
    for method, rest in (("GET", ""), ("POST", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")):
        message = api.refused(method, f"/v2.0/{path.format(id='x')}{rest}", {}, 501, "NotImplementedError")
        assert message == f"{feature} is not supported by this cloud."


@pytest.mark.parametrize(("path", "feature"), sorted(not_built.NOT_BUILT_ACTIONS.items()))
def test_an_action_that_is_not_built_says_so(api: Api, path: str, feature: str) -> None:
    message = api.refused("PUT", f"/v2.0/{path.format(id='x')}", {}, 501, "NotImplementedError")
    assert message == f"{feature} is not supported by this cloud."


def test_a_network_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = api.make("network", "networks", name="blue", description="mine", mtu=1400)
    assert made["project_id"] == made["tenant_id"] == ids.bare(DEMO) and made["mtu"] == 1400
    assert made["status"] == "ACTIVE" and made["revision_number"] == 1 and "provider:network_type" not in made
    path = f"/v2.0/networks/{made['id']}"
    assert api.call("GET", f"/v2.0/networks/{ids.bare(made['id'])}")["network"] == made
    changed = api.call("PUT", path, {"network": {"name": "green"}})["network"]
    assert changed["name"] == "green" and changed["revision_number"] == 2
    assert api.call("GET", path, token=ADMIN)["network"]["provider:network_type"] == "flat"
    api.call("DELETE", path, status=204)
    api.refused("GET", path, None, 404, "NetworkNotFound")
    api.refused("GET", "/v2.0/networks/green", None, 404, "NetworkNotFound")


def test_another_projects_network_is_seen_only_when_shared(api: Api) -> None:
    mine = api.make("network", "networks", name="mine")
    api.make("network", "networks", name="all", shared=True, token=ADMIN)
    assert names(api.call("GET", "/v2.0/networks", token=OTHERS)) == ["all"]
    assert names(api.call("GET", "/v2.0/networks", token="other:admin,member")) == ["all", "mine"]
    for method, body in (("GET", None), ("PUT", {"network": {"name": "x"}}), ("DELETE", None)):
        api.refused(method, f"/v2.0/networks/{mine['id']}", body, 404, "NetworkNotFound", token=OTHERS)
    shared = api.call("GET", "/v2.0/networks", token=OTHERS)["networks"][0]["id"]
    api.refused("PUT", f"/v2.0/networks/{shared}", {"network": {"name": "x"}}, 403, "PolicyNotAuthorized", token=OTHERS)


@pytest.mark.parametrize("values", [{"shared": True}, {"router:external": True}, {"is_default": True},
                                    {"provider:physical_network": "physnet1"}])
def test_administrators_attributes_are_refused_to_others(api: Api, values: dict[str, object]) -> None:
    api.refused("POST", "/v2.0/networks", {"network": values}, 403, "PolicyNotAuthorized")
    api.make("network", "networks", token=ADMIN, **values)


def test_another_project_is_named_by_administrators_alone(api: Api) -> None:
    api.refused("POST", "/v2.0/networks", {"network": {"project_id": OTHER}}, 400, "HTTPBadRequest")
    api.make("network", "networks", token=ADMIN, project_id=OTHER)


@pytest.mark.parametrize("body", [
    {}, [], {"network": []}, {"network": {"name": 1}}, {"network": {"name": "x" * 256}}, {"network": {"unknown": 1}},
    {"network": {"mtu": 1}}, {"network": {"admin_state_up": "maybe"}}, {"networks": []}, {"network": {"id": "x"}},
    {"network": {"qos_policy_id": "x"}}, {"network": {"name": "a\0b"}},
    {"network": {"dns_domain": "a" * 60 + "."  + "a" * 60 + "!"}}, {"network": {"dns_domain": "a.b.\n"}}])
def test_bad_bodies(api: Api, body: object) -> None:
    error = api.call("POST", "/v2.0/networks", body, status=400)["NeutronError"]
    assert error["type"] in ("HTTPBadRequest", "InvalidInput") and error["message"]


def test_numbers_and_truths_may_be_spelled_as_text(api: Api) -> None:
    made = api.make("network", "networks", mtu="1400", admin_state_up="False", shared=0)
    assert (made["mtu"], made["admin_state_up"], made["shared"]) == (1400, False, False)
    api.make("subnet", "subnets", network_id=made["id"], ip_version="4", cidr="10.0.0.0/24", enable_dhcp="true")
    path = f"/v2.0/quotas/{DEMO}"
    assert api.call("PUT", path, {"quota": {"port": "9"}}, token=ADMIN)["quota"]["port"] == 9


def test_provider_types_that_agents_do_not_know(api: Api) -> None:
    api.call("POST", "/v2.0/networks", {"network": {"provider:network_type": "gre"}}, token=ADMIN, status=501)
    api.make("network", "networks", token=ADMIN, **{"provider:physical_network": "p1"})
    api.refused("POST", "/v2.0/networks", {"network": {"provider:physical_network": "p1"}}, 409, "FlatNetworkInUse",
                token=ADMIN)


def test_bulk_is_all_or_none(api: Api, cloud: Cloud) -> None:
    made = api.call("POST", "/v2.0/networks", {"networks": [{"name": "a"}, {"name": "b"}]}, status=201)
    assert names(made) == ["a", "b"]
    cloud.conf.set_override("networks", 3, "quota")
    api.refused("POST", "/v2.0/networks", {"networks": [{"name": "c"}, {"name": "d"}]}, 409, "OverQuota")
    assert names(api.call("GET", "/v2.0/networks")) == ["a", "b"]


def test_filters_fields_and_sorting(api: Api) -> None:
    for name, mtu in (("a", 1500), ("b", 1400), ("c", 1500)):
        api.make("network", "networks", name=name, mtu=mtu)
    assert names(api.call("GET", "/v2.0/networks?mtu=1500")) == ["a", "c"]
    assert names(api.call("GET", "/v2.0/networks?name=a&name=b")) == ["a", "b"]
    assert names(api.call("GET", f"/v2.0/networks?tenant_id={ids.bare(DEMO)}&admin_state_up=True")) == ["a", "b", "c"]
    assert names(api.call("GET", f"/v2.0/networks?project_id={OTHER}")) == []
    assert names(api.call("GET", "/v2.0/networks?shared=true&router%3Aexternal=False")) == []
    assert api.call("GET", "/v2.0/networks?fields=name&sort_key=name&sort_dir=desc") == {
        "networks": [{"name": "c"}, {"name": "b"}, {"name": "a"}]}
    assert names(api.call("GET", "/v2.0/networks?mtu=99999999999999999999999")) == []
    for query in ("nonsense=1", "shared=perhaps", "limit=x", "sort_key=colour", "marker=absent",
                  "sort_key=name&sort_dir=up", "name=a%00b", "provider:network_type=flat"):
        api.call("GET", f"/v2.0/networks?{query}", status=400)


def test_pages_lead_forth_and_back(api: Api) -> None:
    for name in "abcde":
        api.make("network", "networks", name=name)
    first = api.call("GET", "/v2.0/networks?limit=2&sort_key=name&sort_dir=asc")
    assert [item["name"] for item in first["networks"]] == ["a", "b"]
    # With a limit the reference links both ways from any page but a short last one.
    link, back = first["networks_links"]
    assert link["rel"] == "next" and back["rel"] == "previous"
    assert api.call("GET", back["href"].partition("/network")[2])["networks"] == []
    second = api.call("GET", link["href"].partition("/network")[2])
    assert [item["name"] for item in second["networks"]] == ["c", "d"]
    links = {link["rel"]: link["href"].partition("/network")[2] for link in second["networks_links"]}
    assert [item["name"] for item in api.call("GET", links["previous"])["networks"]] == ["a", "b"]
    last = api.call("GET", links["next"])
    assert [item["name"] for item in last["networks"]] == ["e"]
    assert [link["rel"] for link in last["networks_links"]] == ["previous"]


def test_tags(api: Api) -> None:
    a, b = (api.make("network", "networks", name=name) for name in "ab")
    path = f"/v2.0/networks/{a['id']}/tags"
    assert api.call("PUT", path, {"tags": ["red", "Blue", "red"]}) == {"tags": ["red", "Blue"]}
    api.call("PUT", f"{path}/x\"y", status=201)
    api.call("PUT", f"/v2.0/networks/{b['id']}/tags/red", status=201)
    assert api.call("GET", path) == {"tags": ["red", "Blue", "x\"y"]}
    for query, wanted in (("tags=red", "ab"), ("tags=red,Blue", "a"), ("tags-any=Blue,green", "a"), ("tags=blue", ""),
                          ("not-tags=Blue", "b"), ("not-tags-any=red", ""), ("tags=y", ""), ("tags=x%22y", "a")):
        assert "".join(names(api.call("GET", f"/v2.0/networks?{query}"))) == wanted, query
    api.call("GET", f"{path}/red", status=204)
    api.call("DELETE", f"{path}/red", status=204)
    api.refused("GET", f"{path}/red", None, 404, "TagNotFound")
    api.refused("PUT", f"{path}/red", None, 404, "NetworkNotFound", token=OTHERS)
    api.call("DELETE", path, status=204)
    assert api.call("GET", path) == {"tags": []}
    api.call("PUT", path, {"tags": "red"}, status=400)


def test_lists_take_a_fixed_number_of_statements(api: Api, statements: Statements) -> None:
    counts = {}
    for amount in (1, 12):
        for _ in range(amount):
            network = api.make("network", "networks")
            number = len(api.call("GET", "/v2.0/subnets")["subnets"])
            api.make("subnet", "subnets", network_id=network["id"], ip_version=4, cidr=f"10.{number}.0.0/24")
            api.make("port", "ports", network_id=network["id"])
        for noun in ("networks", "subnets", "ports", "security-groups", "security-group-rules"):
            before = len(statements)
            api.call("GET", f"/v2.0/{noun}")
            counts.setdefault(noun, set()).add(len(statements) - before)
    assert all(len(found) == 1 for found in counts.values()), counts
    assert max(min(found) for found in counts.values()) <= 5, counts


def test_quotas(api: Api) -> None:
    path = f"/v2.0/quotas/{ids.bare(DEMO)}"
    assert api.call("GET", path)["quota"]["network"] == 100
    api.refused("PUT", path, {"quota": {"network": 7}}, 403, "PolicyNotAuthorized")
    assert api.call("PUT", path, {"quota": {"network": 7}}, token=ADMIN)["quota"]["network"] == 7
    api.make("network", "networks")
    assert api.call("GET", f"{path}/details")["quota"]["network"] == {"limit": 7, "used": 1, "reserved": 0}
    assert api.call("GET", f"{path}/default")["quota"]["network"] == 100
    assert api.call("GET", "/v2.0/quotas", token=ADMIN)["quotas"][0]["project_id"] == ids.bare(DEMO)
    api.refused("GET", path, None, 403, "PolicyNotAuthorized", token=OTHERS)
    for limits in ({"trunk": 1}, {"network": -2}, {"network": "x"}):
        api.call("PUT", path, {"quota": limits}, token=ADMIN, status=400)
    api.call("DELETE", path, token=ADMIN, status=204)
    assert api.call("GET", path)["quota"]["network"] == 100


def test_zones_and_ip_availability(api: Api) -> None:
    assert api.call("GET", "/v2.0/availability_zones")["availability_zones"][0]["name"] == "nova"
    network = api.make("network", "networks", name="n")
    api.make("subnet", "subnets", network_id=network["id"], ip_version=4, cidr="10.0.0.0/28")
    api.make("port", "ports", network_id=network["id"])
    api.call("GET", "/v2.0/network-ip-availabilities", status=403)
    [found] = api.call("GET", "/v2.0/network-ip-availabilities", token=ADMIN)["network_ip_availabilities"]
    assert (found["total_ips"], found["used_ips"], found["subnet_ip_availability"][0]["cidr"]) == (12, 1, "10.0.0.0/28")
    one = api.call("GET", f"/v2.0/network-ip-availabilities/{network['id']}", token=ADMIN)
    assert one["network_ip_availability"] == found
