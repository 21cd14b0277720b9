"""What an agent must know to build a server: immutable values, built by the conductor, carried as plain maps.

`to_wire` gives nested dicts and lists of JSON types; `from_wire` builds the value again and ignores keys it does not
know, so that a newer conductor can talk to an older agent.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """Base: conversion to and from what travels on the bus."""

    def to_wire(self) -> dict[str, Any]:
        """Return nested maps and lists of JSON types."""
        return {name: _plain(getattr(self, name)) for name in _names(type(self))}

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> Self:
        """Return the spec described by `values`; unknown keys are ignored, missing ones take their defaults."""
        hints = _hints(cls)
        return cls(**{key: _revive(hints[key], value) for key, value in values.items() if key in hints})


_NAMES: dict[type, tuple[str, ...]] = {}


def _names(cls: type[Spec]) -> tuple[str, ...]:
    if cls not in _NAMES:
        _NAMES[cls] = tuple(field.name for field in dataclasses.fields(cls))
    return _NAMES[cls]


def _plain(value: Any) -> Any:
    # Not `dataclasses.asdict`: that copies every leaf, which for hundreds of ports is most of a message's cost.
    if isinstance(value, Spec):
        return value.to_wire()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(cls: type) -> dict[str, Any]:
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


def _revive(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
        origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_revive(inner, item) for item in value)
    if isinstance(hint, type) and issubclass(hint, Spec):
        return hint.from_wire(value)
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSpec(Spec):
    """An image as an agent fetches it: `path` where the store's directory is shared, else `url` (signed, expiring)."""

    id: str
    sha256: str
    size_bytes: int
    virtual_size_bytes: int
    disk_format: str
    path: str | None = None
    url: str | None = None
    short_lived: bool = False  # it is deleted when the disk is made, which must not need it any more
    properties: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubnetSpec(Spec):
    """One subnet of a network. `dhcp_ip` is the address every host's DHCP and metadata server answers at."""

    id: str
    cidr: str
    ip_version: int = 4
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dhcp_ip: str | None = None
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[dict[str, str], ...] = ()
    # slaac, dhcpv6-stateful, dhcpv6-stateless: how hosts advertise an IPv6 subnet, and how guests get their addresses.
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec(Spec):
    """One layer-2 network.

    `network_type` is `flat` (a bridge; `physical_interface` names the host's uplink in the agent's
    `bridge_mappings`, None keeps it on the host) ; `host_gateway` makes the host answer at the gateway address and
    masquerade what leaves (the quickstart's default network). `providers` says who gives which service where that is
    not each host: {"DHCP": "VirtualRouter"}, or "" for nobody (`hostler.resources.network.services`).
    """

    id: str
    name: str
    mtu: int = 1500
    network_type: str = "flat"
    physical_network: str | None = None
    segmentation_id: int | None = None
    host_gateway: bool = False
    dns_domain: str = ""
    providers: dict[str, str] = dataclasses.field(default_factory=dict)
    subnets: tuple[SubnetSpec, ...] = ()
    routers: tuple[RouterSpec, ...] = ()

    def reached(self) -> list[NetworkSpec]:
        """Return this network and those that its routers lead to."""
        return [self, *(port.network for router in self.routers
                        for port in (*router.interfaces, *((router.gateway,) if router.gateway is not None else ())))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RouterPortSpec(Spec):
    """A router's link to a network: the same on every host, but for the external one's MAC and addresses.

    `network` has no `routers`.
    """

    id: str
    mac_address: str
    network: NetworkSpec
    addresses: tuple[str, ...] = ()  # with prefix length


@dataclasses.dataclass(frozen=True, kw_only=True)
class RouterSpec(Spec):
    """A router, as each host with guests on its networks makes it; of two, the one with the higher revision is true.

    `gateway` leads to the external network; `outside` is where each host, by name, sends IPv4 from: its MAC and its
    address with prefix length. With `snat`, nothing else leaves but what comes from a floating IP. IPv6 is not
    translated: every host answers at the gateway's IPv6 addresses.

    With `elected`, one host alone leads outside, for the guests on all hosts and with all of `floating`: {"host",
    "tunnel_ip"}, or {} while no host can. The others send there what goes outside.
    """

    id: str
    revision: int = 0
    interfaces: tuple[RouterPortSpec, ...] = ()
    gateway: RouterPortSpec | None = None
    snat: bool = True
    outside: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)  # {host: {"mac", "address"}}
    routes: tuple[dict[str, str], ...] = ()  # {"destination", "nexthop"}
    forwardings: tuple[ForwardingSpec, ...] = ()
    elected: dict[str, str] | None = None
    floating: tuple[FloatingIpSpec, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardingSpec(Spec):
    """Ports of an external address that lead to a guest on `host`. The address itself is at the host `entry`, which
    hands over what is for guests elsewhere."""

    address: str
    entry: str
    host: str
    protocol: str
    external: tuple[int, int]  # the first and the last port
    fixed_ip_address: str
    internal: tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatingIpSpec(Spec):
    """An external address that leads, by a router, to one of a port's own."""

    address: str
    fixed_ip_address: str
    router_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleSpec(Spec):
    """One security group rule: whom it means is `remote_cidrs` (empty: anybody), or the members of a group.

    The blocks of an address group are the `remote_cidrs` of a rule with `remote_is_group`.
    Members' addresses travel once, beside the specs, and are kept once on each host: N members in N rules would be
    N x N addresses.
    """

    direction: str  # ingress | egress
    ethertype: str  # IPv4 | IPv6
    protocol: str | None = None  # tcp, udp, icmp, … or a number as text; None is any
    port_min: int | None = None  # for icmp: type
    port_max: int | None = None  # for icmp: code
    remote_cidrs: tuple[str, ...] = ()
    remote_is_group: bool = False  # with it, empty remote_cidrs means nobody (but for remote_group_id)
    remote_group_id: str | None = None  # the members of this group, as the host was last told
    stateful: bool = True  # what its group says: answers to what it lets through pass, too


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimitSpec(Spec):
    """How fast a port may send (`egress`) or receive (`ingress`), kbit/s; what may exceed it for a moment, kbit."""

    direction: str
    max_kbps: int  # 0: any speed
    max_burst_kbps: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedIpSpec(Spec):
    """One address of a port."""

    ip_address: str
    subnet_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortSpec(Spec):
    """One NIC: its addresses, its network, and the rules enforced on it."""

    id: str
    mac_address: str
    network: NetworkSpec
    server_id: str
    fixed_ips: tuple[FixedIpSpec, ...] = ()
    hostname: str = ""
    admin_state_up: bool = True
    port_security: bool = True
    allowed_pairs: tuple[dict[str, str], ...] = ()
    rules: tuple[RuleSpec, ...] = ()
    floating_ips: tuple[FloatingIpSpec, ...] = ()
    limits: tuple[LimitSpec, ...] = ()
    dhcp_options: tuple[dict[str, Any], ...] = ()  # {"opt_name", "opt_value", "ip_version"}
    revision: int = 0
    tag: str | None = None

    @property
    def stateless(self) -> bool:
        """Whether its rules alone decide, and nobody remembers what they have let through."""
        return bool(self.rules) and not any(rule.stateful for rule in self.rules)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectionSpec(Spec):
    """How one attachment reaches its volume; may hold secrets. `data` by protocol:

    file: {"share", "path" (below the share)}; nbd: {"host", "port", "export", "tls" (bool), "tls_name"};
    rbd: {"pool", "image", "monitors" ["host:port"], "user", "key"}; fake: {"path"};
    local: {"volume"} (a node to a volume of its own, for a move).
    """

    protocol: str
    format: str = "raw"  # qcow2 for file alone
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    limits: dict[str, int] = dataclasses.field(default_factory=dict)  # elements of libvirt's <iotune>


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttachedSpec(Spec):
    """A volume in a server, as the server's host must have it."""

    attachment_id: str
    volume_id: str
    size_gib: int
    connection: ConnectionSpec
    device: str | None = None  # vdb
    boot_index: int | None = None
    readonly: bool = False
    shared: bool = False  # other servers may have it at the same time
    tag: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RescueSpec(Spec):
    """That a guest runs a rescue disk; `image` is what that is made from, None when the image is gone by now.

    With a `device` (disk, cdrom) the disk is attached on `bus` after all the server's disks, which keep their places;
    without, it comes first, with the root disk alone beside it.
    """

    image: ImageSpec | None = None
    device: str | None = None
    bus: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerSpec(Spec):
    """A server as its host must make it: processors, memory, disks, NICs and what the guest may ask for."""

    id: str
    name: str
    hostname: str
    project_id: str
    user_id: str
    vcpus: int
    ram_mib: int
    root_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    flavor_name: str = ""
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)
    # The image's when the server was created; of a boot volume its image metadata.
    image_properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    image: ImageSpec | None = None
    on_disc: bool = False  # its root disk is a disc, an image of format iso, even when the store has that no more
    ports: tuple[PortSpec, ...] = ()
    volumes: tuple[AttachedSpec, ...] = ()
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    key_name: str | None = None
    public_key: str | None = None
    user_data: str | None = None  # base64
    config_drive: bool = False
    admin_password: str | None = None
    encrypted_password: str | None = None  # as the guest posted it
    availability_zone: str = "nova"
    launch_index: int = 0
    reservation_id: str = ""
    revision: int = 0
    rescue: RescueSpec | None = None
    iso: ImageSpec | None = None  # in its CD-ROM drive
    boot_order: tuple[str, ...] = ()  # of `hardware.BOOT_DEVICES`; empty: its disks, as their boot indexes say
    cpu_mode: str | None = None  # of `hardware.CPU_MODES`; None: its host's

    @property
    def images(self) -> tuple[ImageSpec, ...]:
        """The images that the server's disks are overlays on, or that are in its drive."""
        rescue = self.rescue.image if self.rescue is not None else None
        return tuple(image for image in (self.image, rescue, self.iso) if image is not None)
