"""All models; importing this package makes the whole schema known."""

from hostler.db.models.address_group import AddressGroup
from hostler.db.models.base import Base
from hostler.db.models.console import ConsoleToken
from hostler.db.models.default_rule import DefaultRule
from hostler.db.models.identity import (
    ApplicationCredential,
    Domain,
    Group,
    GroupMember,
    GroupRoleAssignment,
    LoginFailures,
    Project,
    QuotaLimit,
    RevokedToken,
    Role,
    RoleAssignment,
    User,
)
from hostler.db.models.image import Image, ImageMember, ImageTag
from hostler.db.models.metadef import MetadefItem, MetadefNamespace
from hostler.db.models.migration import Migration
from hostler.db.models.network import (
    FixedIp,
    Network,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    SecurityGroupChange,
    SecurityGroupRule,
    Subnet,
)
from hostler.db.models.operation import Lock, Operation, OperationNote, OperationStep
from hostler.db.models.placement import Aggregate, AggregateHost, Allocation, Host, Service, Zone
from hostler.db.models.qos import QosPolicy
from hostler.db.models.router import FloatingIp, PortForwarding, Router, RouterPort
from hostler.db.models.server import Flavor, FlavorAccess, KeyPair, Server, ServerGroup, ServerGroupMember, ServerTag
from hostler.db.models.sharing import RbacPolicy
from hostler.db.models.subnet_pool import AddressScope, SubnetPool
from hostler.db.models.volume import (
    Backend,
    Backup,
    QosSpecs,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeTransfer,
    VolumeType,
    VolumeTypeAccess,
)

__all__ = [
    "AddressGroup", "AddressScope", "Aggregate", "AggregateHost", "Allocation", "ApplicationCredential", "Backend",
    "Backup", "Base", "ConsoleToken", "DefaultRule", "Domain",
    "FixedIp", "Flavor", "FlavorAccess", "FloatingIp",
    "Group", "GroupMember", "GroupRoleAssignment",
    "Host", "Image", "ImageMember", "ImageTag", "KeyPair", "Lock", "LoginFailures",
    "MetadefItem", "MetadefNamespace", "Migration", "Network", "Operation", "OperationNote", "OperationStep", "Port",
    "PortForwarding",
    "PortSecurityGroup", "Project", "QosPolicy", "QosSpecs", "QuotaLimit", "RbacPolicy", "RevokedToken", "Role",
    "RoleAssignment",
    "Router", "RouterPort", "SecurityGroup", "SecurityGroupChange", "SecurityGroupRule", "Server",
    "ServerGroup", "ServerGroupMember", "ServerTag", "Service", "Snapshot", "Subnet", "SubnetPool", "User", "Volume",
    "VolumeAttachment", "VolumeNode", "VolumeTransfer", "VolumeType", "VolumeTypeAccess", "Zone",
]
