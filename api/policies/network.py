"""Policy defaults of the Network API, under the names its published reference uses.

Seeing follows from ownership and sharing (`api.core.network.scope`); these rules say what may be made and changed.
`network_project_id` in a target is the project that owns the network a subnet or port is on.
"""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, OWNER_OR_ADMIN, READER

MANAGER = "rule:context_is_admin or (role:manager and project_id:%(project_id)s)"
NETWORK_OWNER = "rule:context_is_admin or (role:member and project_id:%(network_project_id)s)"

_RULES: tuple[tuple[str, str, str], ...] = (
    ("create_network", OWNER_OR_ADMIN, "Create a network."),
    ("update_network", OWNER_OR_ADMIN, "Change a network."),
    ("delete_network", OWNER_OR_ADMIN, "Delete a network."),
    *((f"{verb}_network:{attribute}", ADMIN, f"Set {attribute} of a network.")
      for verb in ("create", "update")
      for attribute in ("shared", "router:external", "is_default", "provider:network_type",
                        "provider:physical_network", "provider:segmentation_id")),
    ("get_network:provider", ADMIN, "See the provider attributes of networks."),
    ("create_subnet", NETWORK_OWNER, "Create a subnet."),
    ("update_subnet", OWNER_OR_ADMIN, "Change a subnet."),
    ("delete_subnet", OWNER_OR_ADMIN, "Delete a subnet."),
    ("create_port", OWNER_OR_ADMIN, "Create a port on a network one sees."),
    ("update_port", OWNER_OR_ADMIN, "Change a port."),
    ("delete_port", f"{NETWORK_OWNER} or (role:member and project_id:%(project_id)s)", "Delete a port."),
    *((f"{verb}_port:{attribute}", NETWORK_OWNER, f"Set {attribute} of a port.")
      for verb in ("create", "update")
      for attribute in ("mac_address", "port_security_enabled", "allowed_address_pairs", "device_owner:network")),
    *((f"{verb}_port:{attribute}", ADMIN, f"Set {attribute} of a port.")
      for verb in ("create", "update") for attribute in ("binding:host_id", "binding:profile")),
    ("get_port:binding", ADMIN, "See where ports are bound."),
    ("create_security_group", OWNER_OR_ADMIN, "Create a security group."),
    ("update_security_group", OWNER_OR_ADMIN, "Change a security group."),
    ("delete_security_group", OWNER_OR_ADMIN, "Delete a security group."),
    ("create_security_group_rule", OWNER_OR_ADMIN, "Create a security group rule."),
    ("delete_security_group_rule", OWNER_OR_ADMIN, "Delete a security group rule."),
    ("create_default_security_group_rule", ADMIN, "Add a rule that new security groups start with."),
    ("delete_default_security_group_rule", ADMIN, "Take away a rule that new security groups start with."),
    *((f"{verb}_router", OWNER_OR_ADMIN, f"{text} a router.")
      for verb, text in (("create", "Create"), ("update", "Change"), ("delete", "Delete"))),
    *((f"{verb}_router:{attribute}", ADMIN, f"Set {attribute} of a router.")
      for verb in ("create", "update") for attribute in ("distributed", "ha")),
    *((f"{verb}_router:external_gateway_info:{attribute}", ADMIN, f"Set {attribute} of a router's gateway.")
      for verb in ("create", "update") for attribute in ("enable_snat", "external_fixed_ips")),
    ("add_router_interface", OWNER_OR_ADMIN, "Join a subnet to a router."),
    ("remove_router_interface", OWNER_OR_ADMIN, "Take a subnet from a router."),
    ("add_extraroutes", OWNER_OR_ADMIN, "Add routes to a router's."),
    ("remove_extraroutes", OWNER_OR_ADMIN, "Take routes from a router's."),
    *((f"{verb}_floatingip", OWNER_OR_ADMIN, f"{text} a floating IP.")
      for verb, text in (("create", "Create"), ("update", "Change"), ("delete", "Delete"))),
    *((f"{verb}_floatingip_port_forwarding", OWNER_OR_ADMIN, f"{text} a port forwarding of a floating IP.")
      for verb, text in (("create", "Create"), ("update", "Change"), ("delete", "Delete"))),
    ("create_floatingip:floating_ip_address", ADMIN, "Choose the address of a floating IP."),
    *((f"{verb}_{noun}", OWNER_OR_ADMIN, f"{verb.capitalize()} {words}.")
      for noun, words in (("subnetpool", "a subnet pool"), ("address_scope", "an address scope"),
                        ("address_group", "an address group"))
      for verb in ("create", "update", "delete")),
    ("create_subnetpool:shared", ADMIN, "Share a subnet pool with every project."),
    *((f"{verb}_subnetpool:is_default", ADMIN, "Say which subnet pool is the default.")
      for verb in ("create", "update")),
    *((f"{verb}_address_scope:shared", ADMIN, "Share an address scope with every project.")
      for verb in ("create", "update")),
    ("add_addresses", OWNER_OR_ADMIN, "Add addresses to an address group."),
    ("remove_addresses", OWNER_OR_ADMIN, "Remove addresses from an address group."),
    *((f"{verb}_policy{rule}", MANAGER, f"{verb.capitalize()} a {words}.")
      for rule, words in (("", "QoS policy"), ("_bandwidth_limit_rule", "bandwidth limit rule of a QoS policy"))
      for verb in ("create", "update", "delete")),
    ("create_policy:shared", ADMIN, "Share a QoS policy with every project."),
    ("update_policy:shared", ADMIN, "Share a QoS policy with every project, or no longer."),
    ("get_rule_type_details", ADMIN, "See what QoS rules of a type say."),
    ("create_rbac_policy", OWNER_OR_ADMIN, "Share what one's project owns."),
    ("update_rbac_policy", OWNER_OR_ADMIN, "Change with whom something is shared."),
    ("delete_rbac_policy", OWNER_OR_ADMIN, "No longer share something."),
    *((f"{verb}_rbac_policy:target_tenant", ADMIN, "Share something with every project.")
      for verb in ("create", "update")),
    ("get_auto_allocated_topology", READER, "Get a project's auto-allocated topology, or whether it can be made."),
    ("delete_auto_allocated_topology", OWNER_OR_ADMIN, "Delete a project's auto-allocated topology."),
    ("get_agent", ADMIN, "See the network agents."),
    *((f"get_{plural}", ADMIN, f"See {text}.") for plural, text in (
        ("dhcp-agents", "the agents that serve DHCP on a network"),
        ("dhcp-networks", "the networks that an agent serves DHCP on"),
        ("l3-agents", "the agents that route for a router"), ("l3-routers", "the routers that an agent routes for"))),
    ("create_l3-router", ADMIN, "Choose the host that leads outside for a router."),
    ("delete_l3-router", ADMIN, "Have another host lead outside for a router."),
    ("get_segment", ADMIN, "See the segments of networks."),
    ("get_quota", READER, "Show a project's network quota."),
    ("update_quota", ADMIN, "Change a project's network quota."),
    ("delete_quota", ADMIN, "Take a project's own network limits away."),
    ("get_network_ip_availability", ADMIN, "See how many addresses of every network are used."),
)

DEFAULTS = tuple(policy.RuleDefault(name, check, description=text) for name, check, text in _RULES)
