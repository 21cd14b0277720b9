"""Parts of the published API that this cloud does not have: lists are empty, items are 404, changes are 501."""

from __future__ import annotations

from typing import Any

import falcon

from api.core.identity.rows import not_found
from api.openstack.identity.rendering import collection
from api.openstack.resource import Resource
from api.services import Services
from hostler import errors

# path below /v3, key of the list, noun of an item
_NOT_BUILT = (
    ("/credentials", "credentials", "credential"),
    ("/policies", "policies", "policy"),
    ("/limits", "limits", "limit"),
    ("/registered_limits", "registered_limits", "registered limit"),
    ("/OS-TRUST/trusts", "trusts", "trust"),
    ("/OS-OAUTH1/consumers", "consumers", "consumer"),
    ("/OS-FEDERATION/identity_providers", "identity_providers", "identity provider"),
    ("/OS-FEDERATION/mappings", "mappings", "mapping"),
    ("/OS-FEDERATION/service_providers", "service_providers", "service provider"),
    ("/OS-EP-FILTER/endpoint_groups", "endpoint_groups", "endpoint group"),
    ("/users/{user_id}/access_rules", "access_rules", "access rule"),
    ("/users/{user_id}/credentials/OS-EC2", "credentials", "credential"),
)


class EmptyCollection(Resource):
    """A collection that is always empty."""

    def __init__(self, services: Services, key: str) -> None:
        super().__init__(services)
        self._key = key

    def on_get(self, request: falcon.Request, response: falcon.Response, **_ids: str) -> None:
        """List nothing."""
        response.media = collection(self.conf, request, self._key, [])

    def on_post(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse."""
        raise errors.NotImplementedHere(feature=self._key.replace("_", " ").capitalize())

    on_put = on_patch = on_post


class MissingItem:
    """An item of such a collection."""

    def __init__(self, noun: str) -> None:
        self._noun = noun

    def on_get(self, _request: falcon.Request, _response: falcon.Response, **ids: str) -> None:
        """Find nothing."""
        raise not_found(self._noun, ids["item_id"])

    on_patch = on_delete = on_get

    def on_put(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse: PUT creates the parts of a federation."""
        raise errors.NotImplementedHere(feature=f"Making an {self._noun}" if self._noun[0] in "aeiou" else
                                        f"Making a {self._noun}")


class LimitModel:
    """How the limits of projects combine: they do not, as there is no tree of projects."""

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Say so."""
        response.media = {"model": {"name": "flat", "description": "Each project has limits of its own."}}


def routes(services: Services) -> list[tuple[str, Any]]:
    """Return the routes, below `/v3`."""
    lists: list[tuple[str, Any]] = [(path, EmptyCollection(services, key)) for path, key, _ in _NOT_BUILT]
    items: list[tuple[str, Any]] = [(path + "/{item_id}", MissingItem(noun)) for path, _, noun in _NOT_BUILT]
    return [*lists, *items, ("/limits/model", LimitModel())]
