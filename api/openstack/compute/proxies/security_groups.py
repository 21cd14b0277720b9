"""The published face of security groups and their rules in the Compute API, until 2.35; it knows ingress only."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, Final

import falcon

from api.core.network import security_group_rules, security_groups
from api.core.network.scope import Caller
from api.core.network.security_groups import GroupRecord
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, PROXIES, available, since
from api.openstack.compute.proxies.refusals import conflicts_as
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import errors, ids
from hostler.db.models import SecurityGroup, SecurityGroupRule
from hostler.query.expressions import EVERYTHING, Compare, Operator

_POLICY: Final = "os_compute_api:os-security-groups:"
_TEXT: Final = {"type": "string", "maxLength": 255}
_NEVER: Final = since(36)  # unknown members were never refused
_GROUP: Final = Body("security_group", tuple(
    Property(name, _TEXT, required=ALWAYS) for name in ("name", "description")), strict=_NEVER)
_RULE: Final = Body("security_group_rule", (
    Property("parent_group_id", schema.UUID, required=ALWAYS),
    Property("group_id", {**schema.UUID, "type": ["string", "null"]}),
    *(Property(name, schema.NULL) for name in ("from_port", "to_port", "ip_protocol", "cidr"))), strict=_NEVER)
_PORTS: Final = {"TCP": (1, 65535), "UDP": (1, 65535), "ICMP": (-1, -1)}  # all of each protocol
_BOUNDS: Final = {**_PORTS, "ICMP": (-1, 255)}
Remote = tuple[str, str]  # the name and the project of a rule's remote group


def rule_view(rule: SecurityGroupRule, remote: Remote | None) -> dict[str, Any]:
    """Return a rule in the words of the Compute API."""
    low, high = rule.port_min, rule.port_max
    if rule.protocol and low is None and high is None:
        low, high = _PORTS.get(rule.protocol.upper(), (-1, -1))
    everywhere = "0.0.0.0/0" if rule.ethertype == "IPv4" else "::/0"
    return {"id": rule.id, "parent_group_id": rule.group_id, "ip_protocol": rule.protocol, "from_port": low,
            "to_port": high, "group": {} if remote is None else {"name": remote[0], "tenant_id": ids.bare(remote[1])},
            "ip_range": {"cidr": rule.remote_ip_prefix or everywhere} if rule.remote_group_id is None else {}}


def group_view(group: SecurityGroup, rules: Iterable[SecurityGroupRule],
               remotes: Mapping[str, Remote]) -> dict[str, Any]:
    """Return a group with its rules for ingress, but for those that admit a group that is not among `remotes`."""
    return {"id": group.id, "name": group.name, "description": group.description,
            "tenant_id": ids.bare(group.project_id),
            "rules": [rule_view(rule, remotes.get(rule.remote_group_id or "")) for rule in rules
                      if rule.direction == "ingress" and rule.remote_group_id in (None, *remotes)]}


class GroupResource(Resource):
    """A resource that shows security groups."""

    def caller(self, request: falcon.Request, action: str) -> Caller:
        """Return who asks; raises Forbidden unless the policy allows `action`."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + action)
        return Caller.of(self.services, context)

    def views(self, caller: Caller, records: Iterable[GroupRecord]) -> list[dict[str, Any]]:
        """Return groups as shown to the caller."""
        rows = list(records)
        remotes = security_groups.remotes_of(caller, [rule for row in rows for rule in row.rules])
        return [group_view(row.row, row.rules, remotes) for row in rows]


class Groups(GroupResource):
    """GET and POST /os-security-groups."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the project's, or for administrators who ask for `all_tenants` all."""
        caller = self.caller(request, "get")
        everybody = caller.sees_all and request.has_param("all_tenants")
        query = params.slice_of(request, self.conf, sort=(("project_id", False), ("name", False)), where=(
            EVERYTHING if everybody else Compare("project_id", Operator.EQ, caller.project_id)))
        response.media = {"security_groups": self.views(caller, security_groups.VERBS.list_page(caller, query).rows)}

    @available(PROXIES)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        caller = self.caller(request, "create")
        with conflicts_as(errors.Forbidden):
            made = security_groups.VERBS.create(caller, [_GROUP.read(request)])
        response.media = {"security_group": self.views(caller, made)[0]}


class GroupItem(GroupResource):
    """GET, PUT and DELETE /os-security-groups/{id}."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, security_group_id: str) -> None:
        """Show."""
        caller = self.caller(request, "show")
        shown = security_groups.VERBS.show(caller, _checked(security_group_id))
        response.media = {"security_group": self.views(caller, [shown])[0]}

    @available(PROXIES)
    def on_put(self, request: falcon.Request, response: falcon.Response, security_group_id: str) -> None:
        """Rename and describe."""
        caller = self.caller(request, "update")
        with conflicts_as(errors.Invalid):
            changed = security_groups.VERBS.update(caller, _checked(security_group_id), _GROUP.read(request))
        response.media = {"security_group": self.views(caller, [changed])[0]}

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, security_group_id: str) -> None:
        """Delete."""
        with conflicts_as(errors.Invalid):
            security_groups.VERBS.delete(self.caller(request, "delete"), _checked(security_group_id))
        response.status = 202


class Rules(GroupResource):
    """POST /os-security-group-rules."""

    @available(PROXIES)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        caller = self.caller(request, "rule:create")
        values = _values_of(_RULE.read(request))
        with conflicts_as(errors.Forbidden):
            try:
                [rule] = security_group_rules.VERBS.create(caller, [values])
            except errors.NotUnique as error:
                raise errors.Invalid(reason=f"This rule already exists in group {values['group_id']}") from error
        remotes = security_groups.remotes_of(caller, [rule])
        response.media = {"security_group_rule": rule_view(rule, remotes.get(rule.remote_group_id or ""))}


class RuleItem(GroupResource):
    """DELETE /os-security-group-rules/{id}."""

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, rule_id: str) -> None:
        """Delete."""
        with conflicts_as(errors.Invalid):
            security_group_rules.VERBS.delete(self.caller(request, "rule:delete"), _checked(rule_id))
        response.status = 202


def _checked(text: str) -> str:
    if ids.canonical(text) is None:
        raise errors.Invalid(reason="Security group id should be uuid")
    return text


def _values_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the rule that a body asks for; raises Invalid."""
    remote, protocol = body.get("group_id"), str(body.get("ip_protocol") or "")
    low, high = body.get("from_port"), body.get("to_port")
    if remote and low is None and high is None:
        low, high = _PORTS.get(protocol.upper(), (None, None))
    values: dict[str, Any] = {"group_id": body["parent_group_id"], "direction": "ingress", "remote_group_id": remote,
                              **({} if remote else _source(str(body.get("cidr") or "0.0.0.0/0")))}
    if not protocol or low is None or high is None:
        if not remote:
            raise errors.Invalid(reason="Not enough parameters to build a valid rule.")
        return values
    ports = _checked_ports(protocol, low, high)
    return {**values, "protocol": protocol, **{name: None if port == -1 else port for name, port in zip(
        ("port_min", "port_max"), ports, strict=True)}}


def _source(cidr: str) -> dict[str, str]:
    try:
        block = ipaddress.ip_interface(urllib.parse.unquote(cidr))
    except ValueError:
        raise errors.Invalid(reason=f"{cidr[:80]} is not a valid IP network.") from None
    if block.network.prefixlen == 0 and not block.ip.is_unspecified:
        raise errors.Invalid(reason=f"Bad prefix for network in cidr {cidr[:80]}")
    return {"remote_ip_prefix": urllib.parse.unquote(cidr), "ethertype": f"IPv{block.version}"}


def _checked_ports(protocol: str, low: Any, high: Any) -> tuple[int, int]:
    kind = protocol.upper()
    try:
        first, last = int(low), int(high)
    except (TypeError, ValueError):
        raise errors.Invalid(reason="Type and Code must be integers for ICMP protocol type" if kind == "ICMP"
                             else "To and From ports must be integers") from None
    if kind not in _BOUNDS:
        raise errors.Invalid(reason=f"Invalid IP protocol {protocol[:80]}.")
    least, most = _BOUNDS[kind]
    if kind == "ICMP":
        problem = "For ICMP, the type:code must be valid"
    else:
        problem = f"Valid {kind} ports should be between 1-65535"
        if first > last:
            raise errors.Invalid(reason=f"Invalid port range {first}:{last}. Former value cannot be greater than the "
                                        "later")
    if not (least <= first <= most and least <= last <= most):
        raise errors.Invalid(reason=f"Invalid port range {first}:{last}. {problem}")
    return first, last


ROUTES: Final = (("/os-security-groups", Groups), ("/os-security-groups/{security_group_id}", GroupItem),
                 ("/os-security-group-rules", Rules), ("/os-security-group-rules/{rule_id}", RuleItem))
