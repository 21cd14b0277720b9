"""The documents a guest reads about itself."""

from __future__ import annotations

import base64
import dataclasses
import json

import pytest

from compute import configdrive, metadata
from hostler.resources.server.specs import FixedIpSpec, ImageSpec, NetworkSpec, PortSpec, ServerSpec, SubnetSpec

SUBNET = SubnetSpec(id="s1", cidr="10.0.0.0/24", gateway_ip="10.0.0.1", dhcp_ip="10.0.0.2", enable_dhcp=False,
                    dns_nameservers=("9.9.9.9",), host_routes=({"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"},))
PORT = PortSpec(id="aaaaaaaa-0000-4000-8000-000000000001", mac_address="fa:16:3e:00:00:01", server_id="x",
                network=NetworkSpec(id="n1", name="net", mtu=1450, subnets=(SUBNET,)),
                fixed_ips=(FixedIpSpec(ip_address="10.0.0.7", subnet_id="s1"),))
SERVER = ServerSpec(id="12345678-0000-4000-8000-0000deadbeef", name="Web 1", hostname="web-1", project_id="p",
                    user_id="u", vcpus=1, ram_mib=64, root_gib=1, flavor_name="m1.tiny", ports=(PORT,),
                    image=ImageSpec(id="99999999-0000-4000-8000-0000cafecafe", sha256="", size_bytes=1,
                                    virtual_size_bytes=1, disk_format="qcow2"),
                    metadata={"role": "web"}, key_name="me", public_key="ssh-ed25519 AAAA me\n",
                    user_data=base64.b64encode(b"#!/bin/sh\n").decode(), admin_password="s3cret")
TREE = metadata.documents(SERVER)


def body(path: str) -> str:
    found = metadata.answer(TREE, path)
    assert found is not None, path
    return found.body.decode()


def test_openstack_documents() -> None:
    meta = json.loads(body("/openstack/latest/meta_data.json"))
    assert (meta["uuid"], meta["hostname"], meta["name"]) == (SERVER.id, "web-1", "Web 1")
    assert meta["meta"] == {"role": "web"} and meta["admin_pass"] == "s3cret"
    assert meta["public_keys"] == {"me": SERVER.public_key}
    assert body("openstack/2013-10-17/user_data") == "#!/bin/sh\n"
    found = metadata.answer(TREE, "/openstack/latest/meta_data.json")
    assert found is not None and found.content_type == "application/json"


def test_every_tree_has_a_random_seed_of_its_own() -> None:
    seeds = [json.loads(documents["openstack/latest/meta_data.json"])["random_seed"]
             for documents in (TREE, metadata.documents(SERVER))]
    assert [len(base64.b64decode(seed, validate=True)) for seed in seeds] == [512, 512]
    assert seeds[0] != seeds[1]


def test_the_config_drive_has_ec2_in_one_document() -> None:
    files = configdrive.documents(SERVER)
    assert {path.split("/")[1] for path in files if path.startswith("openstack/")} == {*metadata.OPENSTACK_VERSIONS}
    ec2 = json.loads(files["ec2/latest/meta-data.json"])
    assert ec2["placement"] == {"availability-zone": "nova"} and ec2["instance-id"] == "i-deadbeef"
    assert ec2["public-keys"]["0"] == {"openssh-key": "ssh-ed25519 AAAA me\n", "_name": "me"}
    assert files["ec2/latest/user-data"] == b"#!/bin/sh\n"


def test_network_data_of_a_static_subnet() -> None:
    data = json.loads(body("/openstack/latest/network_data.json"))
    assert data["links"][0]["ethernet_mac_address"] == PORT.mac_address and data["links"][0]["mtu"] == 1450
    entry = data["networks"][0]
    assert (entry["type"], entry["ip_address"], entry["netmask"]) == ("ipv4", "10.0.0.7", "255.255.255.0")
    assert {"network": "10.9.0.0", "netmask": "255.255.0.0", "gateway": "10.0.0.9"} in entry["routes"]
    assert data["services"] == [{"type": "dns", "address": "9.9.9.9"}]


@pytest.mark.parametrize(("mode", "kind"), [
    ("slaac", "ipv6_slaac"), ("dhcpv6-stateful", "ipv6_dhcpv6-stateful"),
    ("dhcpv6-stateless", "ipv6_dhcpv6-stateless"), (None, "ipv6_dhcp")])
def test_network_data_of_an_ipv6_subnet(mode: str | None, kind: str) -> None:
    subnet = SubnetSpec(id="six", cidr="fd77::/64", ip_version=6, gateway_ip="fe80::1", ipv6_address_mode=mode,
                        dns_nameservers=("fd77::53",))
    port = dataclasses.replace(PORT, network=dataclasses.replace(PORT.network, subnets=(subnet,)),
                               fixed_ips=(FixedIpSpec(ip_address="fd77::7", subnet_id="six"),))
    data = metadata.network_data(dataclasses.replace(SERVER, ports=(port,)))
    [entry] = data["networks"]
    assert entry["type"] == kind and entry["services"] == [{"type": "dns", "address": "fd77::53"}]
    if mode is not None:
        assert (entry["ip_address"], entry["netmask"]) == ("fd77::7", "ffff:ffff:ffff:ffff::")
        assert entry["routes"] == [{"network": "::", "netmask": "::", "gateway": "fe80::1"}]


def test_ec2_tree_can_be_crawled() -> None:
    assert "latest" in body("/").split("\n") and "openstack" in body("/").split("\n")
    assert body("/latest/") == "meta-data\nuser-data"
    listing = body("/latest/meta-data/").split("\n")
    assert "public-keys/" in listing and "placement/" in listing and "local-ipv4" in listing
    assert body("/2009-04-04/meta-data/local-ipv4") == "10.0.0.7"
    assert body("/latest/meta-data/instance-id") == "i-deadbeef"
    assert body("/latest/meta-data/public-keys/") == "0=me"
    assert body("/latest/meta-data/public-keys/0/") == "openssh-key"
    assert body("/latest/meta-data/public-keys/0/openssh-key") == "ssh-ed25519 AAAA me\n"
    assert body("/latest/user-data") == "#!/bin/sh\n"


def test_what_is_not_there_is_none() -> None:
    assert metadata.answer(TREE, "/latest/meta-data/iam/info") is None
    bare = metadata.documents(ServerSpec(id="x-1", name="n", hostname="n", project_id="p", user_id="u", vcpus=1,
                                         ram_mib=1, root_gib=1))
    for path in ("/latest/user-data", "/openstack/latest/user_data", "/latest/meta-data/public-keys"):
        assert metadata.answer(bare, path) is None
    assert "/" not in (metadata.answer(bare, "openstack") or metadata.Answer(b"/")).body.decode()
