"""How the Network API words errors: `{"NeutronError": {"type", "message", "detail"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hostler import errors

# (our code, resource or reason) → the type name that clients of the Network API know.
_TYPES: Mapping[tuple[str, str], str] = {
    ("NotFound", "network"): "NetworkNotFound",
    ("NotFound", "subnet"): "SubnetNotFound",
    ("NotFound", "port"): "PortNotFound",
    ("NotFound", "security group"): "SecurityGroupNotFound",
    ("NotFound", "security group rule"): "SecurityGroupRuleNotFound",
    ("NotFound", "default security group rule"): "DefaultSecurityGroupRuleNotFound",
    ("NotUnique", "default security group rule"): "DefaultSecurityGroupRuleExists",
    ("NotFound", "extension"): "ExtensionNotFound",
    ("NotFound", "floatingip"): "FloatingIPNotFound",
    ("NotFound", "port forwarding"): "PortForwardingNotFound",
    ("InUse", "floating IP with port forwardings"): "FipInUseByPortForwarding",
    ("InUse", "port with a floating IP"): "PortHasBindingFloatingIP",
    ("Invalid", "port has a port forwarding"): "PortHasPortForwarding",
    ("NotFound", "router"): "RouterNotFound",
    ("NotFound", "router interface"): "RouterInterfaceNotFound",
    ("NotFound", "router interface on subnet"): "RouterInterfaceNotFoundForSubnet",
    ("NotFound", "external gateway for floating IP"): "ExternalGatewayForFloatingIPNotFound",
    ("NotFound", "availability zone"): "AvailabilityZoneNotFound",
    ("NotFound", "tag"): "TagNotFound",
    ("NotFound", "subnetpool"): "SubnetPoolNotFound",
    ("NotFound", "address scope"): "AddressScopeNotFound",
    ("NotFound", "address group"): "AddressGroupNotFound",
    ("NotFound", "QoS policy"): "QosPolicyNotFound",
    ("NotFound", "QoS rule"): "QosRuleNotFound",
    ("InUse", "QoS policy"): "QosPolicyInUse",
    ("Conflict", "QoS rules"): "QoSRulesConflict",
    ("Conflict", "default QoS policy"): "QoSPolicyDefaultAlreadyExists",
    ("Forbidden", "removal of a QoS policy"): "PolicyRemoveAuthorizationError",
    ("Conflict", "router not hosted"): "RouterNotHostedByL3Agent",
    ("Conflict", "router cannot be there"): "RouterSchedulingFailed",
    ("Conflict", "distributed router"): "DVRL3CannotAssignToDvrAgent",
    ("NotFound", "agent"): "AgentNotFound",
    ("NotFound", "segment"): "SegmentNotFound",
    ("NotFound", "addresses"): "AddressesNotFound",
    ("Invalid", "addresses there"): "AddressesAlreadyExist",
    ("InUse", "address group"): "AddressGroupInUse",
    ("Invalid", "shared address scope"): "AddressScopeUpdateError",
    ("Invalid", "ICMP value"): "SecurityGroupInvalidIcmpValue",
    ("Invalid", "port value"): "SecurityGroupInvalidPortValue",
    ("Invalid", "several remotes"): "SecurityGroupMultipleRemoteEntites",
    ("InUse", "address scope"): "AddressScopeInUse",
    ("Conflict", "prefixes in scope"): "AddressScopePrefixConflict",
    ("Conflict", "subnet pool used up"): "SubnetAllocationError",
    ("Conflict", "subnet pool quota"): "SubnetPoolQuotaExceeded",
    ("NotFound", "RBAC policy"): "RbacPolicyNotFound",
    ("NotUnique", "RBAC policy"): "DuplicateRbacPolicy",
    ("InUse", "RBAC policy"): "RbacPolicyInUse",
    ("InUse", "network"): "NetworkInUse",
    ("InUse", "shared network"): "InvalidSharedSetting",
    ("InUse", "flat network"): "FlatNetworkInUse",
    ("InUse", "vlan network"): "VlanIdInUse",
    ("InUse", "vxlan network"): "TunnelIdInUse",
    ("Conflict", "no segment"): "NoNetworkAvailable",
    ("Conflict", "MTU below a subnet's"): "NetworkMTUSubnetConflict",
    ("Conflict", "default external network"): "DefaultExternalNetworkExists",
    ("Conflict", "auto-allocation"): "AutoAllocationFailure",
    ("InUse", "subnet"): "SubnetInUse",
    ("InUse", "port"): "PortInUse",
    ("InUse", "gateway"): "GatewayIpInUse",
    ("InUse", "service port"): "ServicePortInUse",
    ("InUse", "external network"): "ExternalNetworkInUse",
    ("InUse", "router"): "RouterInUse",
    ("InUse", "router gateway"): "RouterExternalGatewayInUseByFloatingIp",
    ("InUse", "interface for floating IPs"): "RouterInterfaceInUseByFloatingIP",
    ("InUse", "interface for routes"): "RouterInterfaceInUseByRoute",
    ("Conflict", "port has a floating IP"): "FloatingIPPortAlreadyAssociated",
    ("Invalid", "subnet mismatch"): "SubnetMismatchForPort",
    ("Invalid", "external addresses exhausted"): "ExternalIpAddressExhausted",
    ("Invalid", "the nexthop is not connected with router"): "InvalidRoutes",
    ("Invalid", "the nexthop is used by router"): "InvalidRoutes",
    ("InUse", "security group"): "SecurityGroupInUse",
    ("NotUnique", "IP address"): "IpAddressAlreadyAllocated",
    ("NotUnique", "MAC address"): "MacAddressInUse",
    ("NotUnique", "default security group"): "SecurityGroupDefaultAlreadyExists",
    ("NotUnique", "security group rule"): "SecurityGroupRuleExists",
    ("InvalidField", "automatic addresses"): "AllocationOnAutoAddressSubnet",
    ("Conflict", "quota"): "OverQuota",
    ("Conflict", "stateful and stateless groups"): "SecurityGroupConflict",
    ("Conflict", "default group"): "SecurityGroupCannotRemoveDefault",
    ("Conflict", "pool out of bounds"): "OutOfBoundsAllocationPool",
    ("Conflict", "pools overlap"): "OverlappingAllocationPools",
    ("Conflict", "gateway in pool"): "GatewayConflictWithAllocationPools",
    ("Conflict", "pairs need port security"): "AddressPairAndPortSecurityRequired",
    ("Conflict", "groups need port security"): "PortSecurityPortHasSecurityGroup",
}
_BY_CODE: Mapping[str, str] = {
    "NoAddress": "IpAddressGenerationFailure", "StaleRevision": "RevisionNumberConstraintFailed",
    "InvalidField": "InvalidInput", "Forbidden": "PolicyNotAuthorized",
    "QuotaExceeded": "OverQuota", "NotImplementedHere": "NotImplementedError", "Unavailable": "ServiceUnavailable",
}
_BY_STATUS: Mapping[int, str] = {
    400: "HTTPBadRequest", 401: "HTTPUnauthorized", 403: "HTTPForbidden", 404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed", 409: "HTTPConflict", 413: "HTTPRequestEntityTooLarge", 429: "HTTPTooManyRequests",
    501: "HTTPNotImplemented", 503: "HTTPServiceUnavailable",
}


def render(status: int, error: errors.HostlerError, _request_id: str) -> dict[str, Any]:
    """Return the body of an error."""
    fields = error.fields
    kind = (_TYPES.get((error.code, str(fields.get("resource", "")))) or _TYPES.get(
        (error.code, str(fields.get("reason", "")))) or _BY_CODE.get(error.code)
        or _BY_STATUS.get(status, "HTTPInternalServerError"))
    return {"NeutronError": {"type": kind, "message": str(error), "detail": ""}}
