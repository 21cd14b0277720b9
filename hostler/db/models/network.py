"""Networks, subnets, ports, addresses and security groups."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext import hybrid

from hostler import ids
from hostler.db.models.base import TABLE_OPTIONS, Base, Id, Resource, relation


class Network(Resource, Base):
    """A layer-2 network."""

    __tablename__ = "networks"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    admin_state_up: orm.Mapped[bool] = orm.mapped_column(default=True)
    # Read by processes of earlier releases alone: see `hostler.resources.network.sharing`.
    was_shared: orm.Mapped[bool] = orm.mapped_column("shared", default=False)
    external: orm.Mapped[bool] = orm.mapped_column(default=False)
    is_default: orm.Mapped[bool] = orm.mapped_column(default=False)
    port_security_enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    mtu: orm.Mapped[int] = orm.mapped_column(default=1500)
    network_type: orm.Mapped[str] = orm.mapped_column(sa.String(32), default="flat")
    physical_network: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    segmentation_id: orm.Mapped[int | None]
    # The three above in one word, which no other network may have (`hostler.resources.network.segments`).
    segment: orm.Mapped[str | None] = orm.mapped_column(sa.String(128), unique=True)
    # What hosts are sent about where its ports are: see `hostler.resources.network.peers`.
    peers_revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")
    # Each host answers at the gateway address and masquerades (the default network of a single node).
    host_gateway: orm.Mapped[bool] = orm.mapped_column(default=False)
    dns_domain: orm.Mapped[str] = orm.mapped_column(sa.String(255), default="")
    # Who gives these services to its guests; None is nobody (`hostler.resources.network.services`).
    dhcp_provider: orm.Mapped[str | None] = orm.mapped_column(sa.String(32), default="Flat", server_default="Flat")
    dns_provider: orm.Mapped[str | None] = orm.mapped_column(sa.String(32), default="Flat", server_default="Flat")
    userdata_provider: orm.Mapped[str | None] = orm.mapped_column(sa.String(32), default="Flat", server_default="Flat")
    qos_policy_id: orm.Mapped[str | None] = relation("qos_policies.id", kind="friend", on_delete="restrict")
    zone_hints: orm.Mapped[list[Any] | None] = orm.mapped_column(sa.JSON)
    # The project whose auto-allocated topology this is, so that there is one at most.
    auto_of: orm.Mapped[str | None] = orm.mapped_column(Id, unique=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)


class Subnet(Resource, Base):
    """A block of addresses on a network. `dhcp_ip` is where every host's DHCP and metadata server answers."""

    __tablename__ = "subnets"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    network_id: orm.Mapped[str] = relation("networks.id", kind="parent", on_delete="cascade")
    subnetpool_id: orm.Mapped[str | None] = relation("subnet_pools.id", kind="friend", on_delete="restrict")
    ip_version: orm.Mapped[int] = orm.mapped_column(default=4)
    cidr: orm.Mapped[str] = orm.mapped_column(sa.String(64))
    gateway_ip: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    enable_dhcp: orm.Mapped[bool] = orm.mapped_column(default=True)
    dhcp_ip: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    allocation_pools: orm.Mapped[list[Any]] = orm.mapped_column(default=list)  # [{"start", "end"}]
    dns_nameservers: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    host_routes: orm.Mapped[list[Any]] = orm.mapped_column(default=list)  # [{"destination", "nexthop"}]
    ipv6_ra_mode: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    ipv6_address_mode: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)


class Port(Resource, Base):
    """A NIC. `server_id` is set for ports of servers; `device_id`/`device_owner` are free text for others."""

    __tablename__ = "ports"
    __table_args__ = (sa.UniqueConstraint("network_id", "mac_address"), TABLE_OPTIONS)
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    network_id: orm.Mapped[str] = relation("networks.id", kind="parent", on_delete="restrict", index=False)
    server_id: orm.Mapped[str | None] = relation("servers.id", kind="friend", on_delete="clear")
    device_id: orm.Mapped[str] = orm.mapped_column(sa.String(255), default="", index=True)
    device_owner: orm.Mapped[str] = orm.mapped_column(sa.String(255), default="")
    nic_index: orm.Mapped[int] = orm.mapped_column(default=0)
    # The name its server's user gave the NIC, which the guest finds in its metadata.
    device_tag: orm.Mapped[str | None] = orm.mapped_column(sa.String(60))
    # True: created for its server and deleted with it; False: the user's own, kept when the server is deleted.
    owned_by_server: orm.Mapped[bool] = orm.mapped_column(default=False)
    mac_address: orm.Mapped[str] = orm.mapped_column(sa.String(32))
    admin_state_up: orm.Mapped[bool] = orm.mapped_column(default=True)
    status: orm.Mapped[str] = orm.mapped_column(sa.String(16), default="DOWN")
    host_id: orm.Mapped[str | None] = relation("hosts.id", kind="friend", on_delete="clear")
    # What administrators said of its binding. The host is shown of ports that no server has, and changes nothing.
    requested_host: orm.Mapped[str | None] = orm.mapped_column(sa.String(255))
    binding_profile: orm.Mapped[dict[str, Any] | None] = orm.mapped_column(sa.JSON)
    port_security_enabled: orm.Mapped[bool] = orm.mapped_column(default=True)
    allowed_address_pairs: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    # Without one, its network's holds.
    qos_policy_id: orm.Mapped[str | None] = relation("qos_policies.id", kind="friend", on_delete="restrict")
    extra_dhcp_opts: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    dns_name: orm.Mapped[str] = orm.mapped_column(sa.String(255), default="")
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
    # What its host is sent about it: see `hostler.resources.revisions`.
    spec_revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")

    @hybrid.hybrid_property
    def shown_status(self) -> str:
        """What users see: a port that is switched off is down, whatever its host reported."""
        return "DOWN" if not self.admin_state_up and self.status == "ACTIVE" else self.status

    @shown_status.inplace.expression
    @classmethod
    def _shown_status(cls) -> sa.ColumnElement[str]:
        return sa.case((sa.and_(sa.not_(cls.admin_state_up), cls.status == "ACTIVE"), "DOWN"), else_=cls.status)


class FixedIp(Base):
    """An address held by a port; the constraint is what makes allocation safe."""

    __tablename__ = "fixed_ips"
    __table_args__ = (sa.UniqueConstraint("subnet_id", "ip_address"), TABLE_OPTIONS)
    id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True, default=ids.new_id)
    port_id: orm.Mapped[str] = relation("ports.id", kind="parent", on_delete="cascade")
    subnet_id: orm.Mapped[str] = relation("subnets.id", kind="parent", on_delete="restrict", index=False)
    ip_address: orm.Mapped[str] = orm.mapped_column(sa.String(64))


class SecurityGroup(Resource, Base):
    """A set of rules; each project has one named `default`."""

    __tablename__ = "security_groups"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    stateful: orm.Mapped[bool] = orm.mapped_column(default=True)
    is_default: orm.Mapped[bool] = orm.mapped_column(default=False)
    # The project whose default group this is, so that there is one at most.
    default_of: orm.Mapped[str | None] = orm.mapped_column(Id, unique=True)
    tags: orm.Mapped[list[Any]] = orm.mapped_column(default=list)
    revision: orm.Mapped[int] = orm.mapped_column(default=1)
    # What hosts are sent about its members: see `hostler.resources.revisions`.
    members_revision: orm.Mapped[int] = orm.mapped_column(default=0, server_default="0")


class SecurityGroupRule(Resource, Base):
    """What a group lets through."""

    __tablename__ = "security_group_rules"
    project_id: orm.Mapped[str] = relation("projects.id", kind="parent", on_delete="cascade")
    group_id: orm.Mapped[str] = relation("security_groups.id", kind="parent", on_delete="cascade")
    direction: orm.Mapped[str] = orm.mapped_column(sa.String(16))
    ethertype: orm.Mapped[str] = orm.mapped_column(sa.String(8), default="IPv4")
    protocol: orm.Mapped[str | None] = orm.mapped_column(sa.String(32))
    port_min: orm.Mapped[int | None]
    port_max: orm.Mapped[int | None]
    remote_ip_prefix: orm.Mapped[str | None] = orm.mapped_column(sa.String(64))
    remote_group_id: orm.Mapped[str | None] = relation("security_groups.id", kind="friend", on_delete="cascade")
    remote_address_group_id: orm.Mapped[str | None] = relation("address_groups.id", kind="friend", on_delete="restrict")
    revision: orm.Mapped[int] = orm.mapped_column(default=0)


class SecurityGroupChange(Base):
    """A port joined a group, left it or has other addresses since a revision of the group's members.

    The last of them are kept (`hostler.resources.network.port_specs`), also for ports that are gone: what hosts
    are sent of a large group. `group_id` may also be a network's, whose ports are its members
    (`hostler.resources.network.peers`).
    """

    __tablename__ = "security_group_changes"
    group_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)
    revision: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    port_id: orm.Mapped[str] = orm.mapped_column(Id, primary_key=True)


class PortSecurityGroup(Base):
    """A group's membership of a port."""

    __tablename__ = "port_security_groups"
    port_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("ports.id"), primary_key=True, info={"relation": "parent", "on_delete": "cascade"})
    group_id: orm.Mapped[str] = orm.mapped_column(
        Id, sa.ForeignKey("security_groups.id"), primary_key=True, index=True,
        info={"relation": "parent", "on_delete": "restrict"})
