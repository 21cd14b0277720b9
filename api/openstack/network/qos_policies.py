"""Rules of QoS policies, and the types of them; policies themselves are as every noun."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.network import qos_policies as core
from api.openstack.network import queries
from api.openstack.network.nouns import Body, BodyReader
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import BANDWIDTH_LIMIT, coerced
from hostler import errors
from hostler.query.compiler import unknown

_READER: Final = BodyReader(Body(singular="bandwidth_limit_rule", plural="bandwidth_limit_rules",
                                 attributes=BANDWIDTH_LIMIT))
_DRIVER: Final = "hostler"


class Rules(Resource):
    """`/v2.0/qos/policies/{id}/bandwidth_limit_rules`: two at most, so that there are no pages."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """List them."""
        fields = queries.fields_of(request)
        rules = core.list_rules(self.caller(request), id)
        for name in request.params.keys() - queries.NOT_FILTERS:
            if name != "id" and name not in BANDWIDTH_LIMIT:
                raise unknown(name)
            wanted = [coerced(BANDWIDTH_LIMIT[name].schema, text) if name != "id" else text
                      for text in request.get_param_as_list(name) or ()]
            rules = [rule for rule in rules if rule[name] in wanted]
        response.media = {"bandwidth_limit_rules": [queries.only(dict(rule), fields) for rule in rules]}

    def on_post(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Create one."""
        values = _READER.read_one(self.body(request))
        response.status = 201
        response.media = {"bandwidth_limit_rule": dict(core.create_rule(self.caller(request), id, values))}


class Rule(Resource):
    """`/v2.0/qos/policies/{id}/bandwidth_limit_rules/{limit_id}`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str, limit_id: str) -> None:
        """Show it."""
        rule = dict(core.show_rule(self.caller(request), id, limit_id))
        response.media = {"bandwidth_limit_rule": queries.only(rule, queries.fields_of(request))}

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str, limit_id: str) -> None:
        """Change it."""
        values = _READER.read_change(self.body(request))
        response.media = {"bandwidth_limit_rule": dict(core.update_rule(self.caller(request), id, limit_id, values))}

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str, limit_id: str) -> None:
        """Delete it."""
        core.delete_rule(self.caller(request), id, limit_id)
        response.status = 204


class RuleTypes(Resource):
    """`/v2.0/qos/rule-types`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the one there is."""
        self.caller(request)
        response.media = {"rule_types": [{"type": core.RULE_TYPE}]}


class RuleType(Resource):
    """`/v2.0/qos/rule-types/{id}`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show what rules of the type say, to administrators."""
        self.caller(request).check("get_rule_type_details", "")
        if id != core.RULE_TYPE:
            raise errors.NotFound(f"QoS rule type {id} could not be found.", resource="QoS rule type", id=id)
        response.media = {"rule_type": {"type": id, "drivers": [{
            "name": _DRIVER, "supported_parameters": [_parameter(name, attribute.schema)
                                                      for name, attribute in BANDWIDTH_LIMIT.items()]}]}}


def _parameter(name: str, schema: Any) -> dict[str, Any]:
    if "enum" in schema:
        return {"parameter_name": name, "parameter_type": "choices", "parameter_values": schema["enum"]}
    return {"parameter_name": name, "parameter_type": "range",
            "parameter_values": {"start": schema["minimum"], "end": schema["maximum"]}}
