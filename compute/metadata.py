"""What a guest may ask about itself, as documents: functions from a `ServerSpec` to paths and bytes.

Two users share these documents so that they cannot differ: the metadata HTTP server of a network
(`compute.network`) and the config drive (`compute.configdrive`). Three dialects live in one tree:

* OpenStack, `openstack/<version>/{meta_data.json,network_data.json,user_data,vendor_data.json,vendor_data2.json}`,
  and `password`, to which the guest may post what it encrypted with its user's key;
* EC2, `<version>/{meta-data/…,user-data}`;
* CloudStack, which reads EC2's `latest/…` at the DHCP server's address.

A path that is not in the tree does not exist (HTTP 404). `user_data` is missing when the server has none, as guests
expect. Each tree has a random seed of its own. Nothing here knows HTTP, sockets or files.

>>> tree = documents(server)                                        # doctest: +SKIP
>>> answer(tree, "/latest/meta-data/local-hostname").body           # doctest: +SKIP
b'web1'
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import ipaddress
import json
import os
from collections.abc import Mapping
from typing import Any

from hostler.resources.server.specs import PortSpec, ServerSpec, SubnetSpec

OPENSTACK_VERSIONS = ("2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22",
                      "2018-08-27", "2020-10-14", "latest")
EC2_VERSIONS = ("1.0", "2007-01-19", "2007-03-01", "2008-02-01", "2008-09-01", "2009-04-04", "latest")
METADATA_IP = "169.254.169.254"
METADATA_IPV6 = "fe80::a9fe:a9fe"
MAX_PASSWORD_BYTES = 1020
_SEED_BYTES = 512


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to send back: the document, or the listing of a directory."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"


def documents(server: ServerSpec) -> dict[str, bytes]:
    """Return every document of `server`, all dialects, by path without leading slash."""
    tree: dict[str, bytes] = {}
    openstack = openstack_documents(server)
    for version in OPENSTACK_VERSIONS:
        tree.update({f"openstack/{version}/{name}": body for name, body in openstack.items()})
    tree.update({f"openstack/{version}/password": (server.encrypted_password or "").encode()
                 for version in OPENSTACK_VERSIONS[1:]})
    ec2 = ec2_documents(server)
    for version in EC2_VERSIONS:
        tree.update({f"{version}/{name}": body for name, body in ec2.items()})
    return tree


def is_password(path: str) -> bool:
    """Return whether a guest may post its encrypted password to `path`."""
    parts = [part for part in path.split("/") if part]
    return len(parts) == 3 and parts[0] == "openstack" and parts[1] in OPENSTACK_VERSIONS[1:] and parts[2] == "password"


def answer(tree: Mapping[str, bytes], path: str) -> Answer | None:
    """Return what `path` holds in `tree` (a document, else the listing of a directory), or None when nothing does.

    Leading, doubled and trailing slashes do not matter, a query must have been cut off. Listings name directories
    with a trailing slash, except at the root and in `openstack/`, where versions stand bare as guests expect.
    """
    wanted = "/".join(part for part in path.split("/") if part)
    if wanted in tree:
        return Answer(tree[wanted], "application/json" if wanted.endswith(".json") else _text_type(wanted))
    listing = list_directory(tree, wanted)
    return Answer("\n".join(listing).encode()) if listing else None


def list_directory(tree: Mapping[str, bytes], directory: str) -> list[str]:
    """Return the names in `directory` ('' is the root), in order; empty when there is no such directory."""
    if directory.endswith("meta-data/public-keys"):
        name = tree.get(f"{directory}/0/.name")
        return [f"0={name.decode()}"] if name is not None else []
    prefix = directory + "/" if directory else ""
    names: dict[str, None] = {}
    for path in tree:
        if path.startswith(prefix):
            first, slash, _ = path[len(prefix):].partition("/")
            if first.startswith("."):
                continue
            bare = directory in ("", "openstack") or first in ("meta-data",)
            names[first if bare or not slash else first + "/"] = None
    return sorted(names)


def openstack_documents(server: ServerSpec) -> dict[str, bytes]:
    """Return the files of one OpenStack version directory."""
    files = {"meta_data.json": _json(_meta_data(server)), "network_data.json": _json(network_data(server)),
             "vendor_data.json": _json({}), "vendor_data2.json": _json({})}
    user_data = decode_user_data(server)
    if user_data is not None:
        files["user_data"] = user_data
    return files


def ec2_json(server: ServerSpec) -> bytes:
    """Return EC2's `meta-data/…` as the one document that a config drive has in its place."""
    tree: dict[str, Any] = {}
    for path, body in ec2_documents(server).items():
        if path.startswith("meta-data/"):
            *directories, name = path.removeprefix("meta-data/").split("/")
            place = tree
            for directory in directories:
                place = place.setdefault(directory, {})
            place["_name" if name == ".name" else name] = body.decode()
    return _json(tree)


def ec2_documents(server: ServerSpec) -> dict[str, bytes]:
    """Return the files of one EC2 version directory (`meta-data/…` and `user-data`)."""
    address = _first_address(server, 4)
    ec2_id = f"i-{server.id.replace('-', '')[-8:]}"
    values = {"instance-id": ec2_id, "vm-id": server.id, "ami-id": _image_id(server), "ami-launch-index":
              str(server.launch_index), "ami-manifest-path": "", "hostname": server.hostname,
              "local-hostname": server.hostname, "public-hostname": server.hostname, "local-ipv4": address,
              "public-ipv4": "", "instance-type": server.flavor_name, "instance-action": "none",
              "reservation-id": server.reservation_id, "security-groups": "", "service-offering": server.flavor_name,
              "availability-zone": server.availability_zone, "cloud-identifier": "Hostler",
              "placement/availability-zone": server.availability_zone, "block-device-mapping/ami": "vda",
              "block-device-mapping/root": "/dev/vda"}
    if server.ports:
        values["mac"] = server.ports[0].mac_address
    files = {f"meta-data/{name}": text.encode() for name, text in values.items()}
    if server.public_key:
        files["meta-data/public-keys/0/openssh-key"] = server.public_key.strip().encode() + b"\n"
        files["meta-data/public-keys/0/.name"] = _one_line(server.key_name or "key").encode()
    user_data = decode_user_data(server)
    if user_data is not None:
        files["user-data"] = user_data
    return files


def decode_user_data(server: ServerSpec) -> bytes | None:
    """Return the user data as the guest sees it, or None; what is not base64 is handed through as text."""
    if server.user_data is None:
        return None
    try:
        return base64.b64decode(server.user_data, validate=True)
    except (binascii.Error, ValueError):
        return server.user_data.encode()


def network_data(server: ServerSpec) -> dict[str, Any]:
    """Return OpenStack's `network_data.json`: links, the addresses on them, and DNS services."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: dict[str, dict[str, str]] = {}
    for index, port in enumerate(server.ports):
        link_id = f"tap{port.id[:11]}"
        links.append({"id": link_id, "vif_id": port.id, "type": "bridge", "mtu": port.network.mtu,
                      "ethernet_mac_address": port.mac_address})
        for address, subnet in _addresses(port):
            networks.append(_network_entry(f"network{len(networks)}", link_id, port, address, subnet, index == 0))
            services.update({dns: {"type": "dns", "address": dns} for dns in subnet.dns_nameservers})
    return {"links": links, "networks": networks, "services": list(services.values())}


def _network_entry(name: str, link_id: str, port: PortSpec, address: str, subnet: SubnetSpec,
                   first: bool) -> dict[str, Any]:
    net = ipaddress.ip_network(subnet.cidr)
    kind = f"ipv{subnet.ip_version}"
    entry: dict[str, Any] = {"id": name, "link": link_id, "network_id": port.network.id, "routes": []}
    entry["services"] = [{"type": "dns", "address": dns} for dns in subnet.dns_nameservers]
    # With a mode guests are told the address, too: they form it, or ask for it.
    mode = subnet.ipv6_address_mode
    if subnet.enable_dhcp and mode is None:
        return {**entry, "type": f"{kind}_dhcp"}
    entry.update(type=kind if mode is None else f"{kind}_{mode}", ip_address=address, netmask=str(net.netmask))
    if subnet.gateway_ip and first:
        any_net, any_mask = ("0.0.0.0", "0.0.0.0") if subnet.ip_version == 4 else ("::", "::")
        entry["routes"].append({"network": any_net, "netmask": any_mask, "gateway": subnet.gateway_ip})
        entry["gateway"] = subnet.gateway_ip
    for route in subnet.host_routes:
        to = ipaddress.ip_network(route["destination"], strict=False)
        entry["routes"].append({"network": str(to.network_address), "netmask": str(to.netmask),
                                "gateway": route["nexthop"]})
    return entry


def _meta_data(server: ServerSpec) -> dict[str, Any]:
    document: dict[str, Any] = {
        "uuid": server.id, "name": server.name, "hostname": server.hostname, "launch_index": server.launch_index,
        "availability_zone": server.availability_zone, "project_id": server.project_id, "meta": dict(server.metadata),
        "devices": [{"type": "nic", "bus": "none", "address": "none", "mac": port.mac_address,
                     "tags": [port.tag] if port.tag else []}
                    for port in server.ports],
        "dedicated_cpus": [], "random_seed": base64.b64encode(os.urandom(_SEED_BYTES)).decode(),
    }
    if server.public_key:
        name = server.key_name or "key"
        document["public_keys"] = {name: server.public_key}
        document["keys"] = [{"name": name, "type": "ssh", "data": server.public_key}]
    if server.admin_password:
        document["admin_pass"] = server.admin_password
    return document


def _addresses(port: PortSpec) -> list[tuple[str, SubnetSpec]]:
    subnets = {subnet.id: subnet for subnet in port.network.subnets}
    return [(fixed.ip_address, subnets[fixed.subnet_id]) for fixed in port.fixed_ips if fixed.subnet_id in subnets]


def _first_address(server: ServerSpec, ip_version: int) -> str:
    for port in server.ports:
        for fixed in port.fixed_ips:
            if ipaddress.ip_address(fixed.ip_address).version == ip_version:
                return fixed.ip_address
    return ""


def _one_line(text: str) -> str:
    """Return a name as a listing can hold it."""
    return "".join(char if char.isprintable() else "-" for char in text)


def _image_id(server: ServerSpec) -> str:
    return f"ami-{server.image.id.replace('-', '')[-8:]}" if server.image is not None else ""


def _text_type(path: str) -> str:
    return "application/octet-stream" if path.endswith(("user_data", "user-data")) else "text/plain; charset=utf-8"


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
