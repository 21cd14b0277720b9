"""Adding addresses to address groups and removing them; all else about them is as for every noun."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import falcon

from api.bodies import compile_schema
from api.core.network import address_groups as core
from api.core.network.scope import Caller
from api.core.network.verbs import Record
from api.openstack.network import views
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import ADDRESS, list_of, record_of
from api.services import Services

_CHECK = compile_schema(record_of(("addresses",), addresses=list_of(ADDRESS, core.MAX_ADDRESSES)))


class Addresses(Resource):
    """`/v2.0/address-groups/{id}/add_addresses` and `…/remove_addresses`."""

    def __init__(self, services: Services, change: Callable[[Caller, str, Sequence[str]], Record]) -> None:
        super().__init__(services)
        self._change = change

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Add the addresses, or remove them."""
        body = self.body(request)
        _CHECK(body)
        caller = self.caller(request)
        response.media = {"address_group": views.address_group(
            self._change(caller, id, body["addresses"]), caller)}  # type: ignore[index]
