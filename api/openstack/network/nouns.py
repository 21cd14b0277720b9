"""The nouns of the Network API: how each is named, validated, executed and shown. `resources` serves them all."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.bodies import Validator, compile_schema
from api.core.network import (
    address_groups,
    address_scopes,
    default_rules,
    floating_ips,
    networks,
    port_forwardings,
    ports,
    qos_policies,
    rbac_policies,
    routers,
    security_group_rules,
    security_groups,
    subnet_pools,
    subnets,
)
from api.core.network.scope import Caller
from api.core.network.verbs import Verbs
from api.openstack.network import filters, schemas, views
from api.openstack.network.schemas import Attribute
from hostler import errors
from hostler.db.models import FloatingIp, Network, Port, QosPolicy, Router, SecurityGroup, Subnet, SubnetPool
from hostler.query.paging import Page, Query
from hostler.query.text import Filter

Values = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Body:
    """What bodies call a kind of resource, and what they may say of it."""

    singular: str
    plural: str
    attributes: Mapping[str, Attribute]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noun(Body):
    """One kind of resource. `path` names it in URLs; `tagged` is the model that holds its tags."""

    path: str
    filters: Mapping[str, Filter]
    sortable: Mapping[str, str]
    list_page: Callable[[Caller, Query], Page]
    show: Callable[[Caller, str], Any]
    create: Callable[[Caller, Sequence[Values]], Sequence[Any]]
    delete: Callable[[Caller, str], None]
    view: Callable[[Any, Caller], dict[str, Any]]
    update: Callable[[Caller, str, Values], Any] | None = None
    tagged: type[Network | Subnet | Port | SecurityGroup | Router | FloatingIp | SubnetPool | QosPolicy] | None = None


class BodyReader:
    """Turns the bodies of one noun into values for its verbs, or refuses them with the attribute's name."""

    def __init__(self, noun: Body) -> None:
        self._noun = noun
        self._checks: dict[str, tuple[Mapping[str, Attribute], Validator]] = {}
        for method in ("post", "put"):
            allowed = {name: item for name, item in noun.attributes.items() if getattr(item, method)}
            required = [name for name, item in allowed.items() if item.required] if method == "post" else []
            self._checks[method] = allowed, compile_schema({
                "type": "object", "required": required,
                "properties": {name: dict(item.schema) for name, item in allowed.items()}})

    def read_new(self, body: Any, most: int) -> tuple[list[dict[str, Any]], bool]:
        """Return the values of each new resource, and whether the body held a list of them.

        Raises TooLarge for a list of more than `most`.
        """
        noun = self._noun
        if isinstance(body, dict) and isinstance(body.get(noun.plural), list) and len(body) == 1:
            if not body[noun.plural]:
                raise errors.Invalid(reason="Resources required")
            if len(body[noun.plural]) > most:
                raise errors.TooLarge(reason=f"at most {most} {noun.plural} are created at once")
            # Old clients wrap each item by its own name.
            return [self._values("post", item[noun.singular] if isinstance(item, dict) and {*item} == {noun.singular}
                                 else item) for item in body[noun.plural]], True
        return [self.read_one(body)], False

    def read_one(self, body: Any) -> dict[str, Any]:
        """Return the values of one new resource."""
        return self._values("post", self._inner(body))

    def read_change(self, body: Any) -> dict[str, Any]:
        """Return the values of a change."""
        return self._values("put", self._inner(body))

    def _inner(self, body: Any) -> Any:
        if not isinstance(body, dict) or set(body) != {self._noun.singular}:
            raise errors.Invalid(reason=f"Resource body required: '{self._noun.singular}'")
        return body[self._noun.singular]

    def _values(self, method: str, body: Any) -> dict[str, Any]:
        allowed, check = self._checks[method]
        if not isinstance(body, dict):
            raise errors.Invalid(reason=f"Invalid body: '{self._noun.singular}' must be an object.")
        for name in body:
            if name in allowed:
                continue
            if method == "put" and name in self._noun.attributes:
                raise errors.Invalid(reason=f"Cannot update read-only attribute {name}")
            raise errors.Invalid(reason=f"Unrecognized attribute(s) '{name}'")
        body = {name: schemas.coerced(allowed[name].schema, value) for name, value in body.items()}
        check(body)
        values = {schemas.RENAMES.get(name, name): value for name, value in body.items() if not allowed[name].ignored}
        if values.get("description", "") is None:
            values["description"] = ""
        for name in schemas.CASE_INSENSITIVE & values.keys():
            values[name] = values[name] and values[name].lower()
        return values


def _without_minus_one(values: Values) -> Values:
    # Old clients spell "any" of a rule's ports as -1.
    return {name: None if name in ("port_min", "port_max") and value == -1 else value
            for name, value in values.items()}


def _verbs(verbs: Verbs[Any, Any]) -> dict[str, Any]:
    return {"list_page": verbs.list_page, "show": verbs.show, "create": verbs.create, "delete": verbs.delete,
            "update": verbs.update if verbs.change else None}


NOUNS: tuple[Noun, ...] = (
    Noun(singular="network", plural="networks", path="networks", attributes=schemas.NETWORK,
         filters=filters.NETWORK, sortable=filters.SORT_NETWORK,
         view=views.network, tagged=Network, **_verbs(networks.VERBS)),
    Noun(singular="subnet", plural="subnets", path="subnets", attributes=schemas.SUBNET,
         filters=filters.SUBNET, sortable=filters.SORT_SUBNET,
         view=views.subnet, tagged=Subnet, **_verbs(subnets.VERBS)),
    Noun(singular="port", plural="ports", path="ports", attributes=schemas.PORT,
         filters=filters.PORT, sortable=filters.SORT_PORT,
         view=views.port, tagged=Port, **_verbs(ports.VERBS)),
    Noun(singular="security_group", plural="security_groups", path="security-groups", attributes=schemas.GROUP,
         filters=filters.GROUP, sortable=filters.SORT_GROUP,
         view=views.group, tagged=SecurityGroup, **_verbs(security_groups.VERBS)),
    Noun(singular="security_group_rule", plural="security_group_rules", path="security-group-rules",
         attributes=schemas.RULE, filters=filters.RULE, sortable=filters.SORT_RULE,
         view=views.rule, **{**_verbs(security_group_rules.VERBS), "create": lambda caller, bodies: (
             security_group_rules.VERBS.create(caller, [_without_minus_one(values) for values in bodies]))}),
    Noun(singular="default_security_group_rule", plural="default_security_group_rules",
         path="default-security-group-rules", attributes=schemas.DEFAULT_RULE, filters=filters.DEFAULT_RULE,
         sortable=filters.SORT_DEFAULT_RULE, list_page=default_rules.list_rules, show=default_rules.show_rule,
         create=lambda caller, bodies: default_rules.create_rules(
             caller, [_without_minus_one(values) for values in bodies]),
         delete=default_rules.delete_rule, view=views.default_rule),
    Noun(singular="router", plural="routers", path="routers", attributes=schemas.ROUTER,
         filters=filters.ROUTER, sortable=filters.SORT_ROUTER,
         view=views.router, tagged=Router, **_verbs(routers.VERBS)),
    Noun(singular="floatingip", plural="floatingips", path="floatingips", attributes=schemas.FLOATING_IP,
         filters=filters.FLOATING_IP, sortable=filters.SORT_FLOATING_IP,
         view=views.floating_ip, tagged=FloatingIp, **_verbs(floating_ips.VERBS)),
    Noun(singular="subnetpool", plural="subnetpools", path="subnetpools", attributes=schemas.SUBNET_POOL,
         filters=filters.SUBNET_POOL, sortable=filters.SORT_SUBNET_POOL, view=views.subnet_pool, tagged=SubnetPool,
         **_verbs(subnet_pools.VERBS)),
    Noun(singular="address_scope", plural="address_scopes", path="address-scopes", attributes=schemas.ADDRESS_SCOPE,
         filters=filters.ADDRESS_SCOPE, sortable=filters.SORT_ADDRESS_SCOPE, view=views.address_scope,
         **_verbs(address_scopes.VERBS)),
    Noun(singular="address_group", plural="address_groups", path="address-groups", attributes=schemas.ADDRESS_GROUP,
         filters=filters.ADDRESS_GROUP, sortable=filters.SORT_GROUP, view=views.address_group,
         **_verbs(address_groups.VERBS)),
    Noun(singular="policy", plural="policies", path="qos/policies", attributes=schemas.QOS_POLICY,
         filters=filters.QOS_POLICY, sortable=filters.SORT_GROUP, view=views.qos_policy, tagged=QosPolicy,
         **_verbs(qos_policies.VERBS)),
    Noun(singular="rbac_policy", plural="rbac_policies", path="rbac-policies", attributes=schemas.RBAC_POLICY,
         filters=filters.RBAC_POLICY, sortable=filters.SORT_RBAC_POLICY, view=views.rbac_policy,
         **_verbs(rbac_policies.VERBS)),
)


def port_forwarding_noun(floating_ip_id: str) -> Noun:
    """Return the port forwardings of one floating IP as a noun."""
    return Noun(
        singular="port_forwarding", plural="port_forwardings", path=f"floatingips/{floating_ip_id}/port_forwardings",
        attributes=schemas.PORT_FORWARDING, filters=filters.PORT_FORWARDING, sortable=filters.SORT_PORT_FORWARDING,
        view=views.port_forwarding, list_page=functools.partial(port_forwardings.list_forwardings, floating_ip_id),
        show=functools.partial(port_forwardings.show_forwarding, floating_ip_id),
        create=functools.partial(port_forwardings.create_forwardings, floating_ip_id),
        update=functools.partial(port_forwardings.update_forwarding, floating_ip_id),
        delete=functools.partial(port_forwardings.delete_forwarding, floating_ip_id))
