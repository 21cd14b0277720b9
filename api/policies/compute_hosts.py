"""Policy defaults of hypervisors, services, aggregates and zones, under the names their published reference uses."""

from __future__ import annotations

from oslo_policy import policy

from api.policy import ADMIN, ANYBODY

_P = "os_compute_api:"
_RULES: tuple[tuple[str, str, str], ...] = (
    ("os-aggregates:index", ADMIN, "List aggregates."),
    ("os-aggregates:show", ADMIN, "Show an aggregate."),
    ("os-aggregates:create", ADMIN, "Create an aggregate."),
    ("os-aggregates:update", ADMIN, "Change an aggregate's name or zone."),
    ("os-aggregates:delete", ADMIN, "Delete an aggregate."),
    ("os-aggregates:add_host", ADMIN, "Add a host to an aggregate."),
    ("os-aggregates:remove_host", ADMIN, "Remove a host from an aggregate."),
    ("os-aggregates:set_metadata", ADMIN, "Change an aggregate's metadata."),
    ("compute:aggregates:images", ADMIN, "Have an aggregate's hosts fetch images."),
    ("os-availability-zone:list", ANYBODY, "List availability zones."),
    ("os-availability-zone:detail", ADMIN, "List availability zones with their hosts and services."),
    ("os-hypervisors:list", ADMIN, "List hypervisors."),
    ("os-hypervisors:list-detail", ADMIN, "List hypervisors with details."),
    ("os-hypervisors:show", ADMIN, "Show a hypervisor."),
    ("os-hypervisors:uptime", ADMIN, "Show how long a hypervisor is up."),
    ("os-hypervisors:search", ADMIN, "Find hypervisors by name."),
    ("os-hypervisors:servers", ADMIN, "List the servers of hypervisors."),
    ("os-hypervisors:statistics", ADMIN, "Show the sums over all hypervisors."),
    ("os-services:list", ADMIN, "List services."),
    ("os-services:update", ADMIN, "Enable, disable or force down a compute service."),
    ("os-services:delete", ADMIN, "Delete a service."),
)

DEFAULTS = tuple(policy.RuleDefault(name if name.startswith("compute:") else _P + name, check, description=text)
                 for name, check, text in _RULES)
