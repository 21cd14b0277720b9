"""Networks, once managed through the Compute API: their changes answer 410, as the reference does."""

from __future__ import annotations

from typing import Final

import falcon

from api.openstack.compute import params
from api.openstack.resource import Resource
from hostler import errors


class _Gone(Resource):
    def refuse(self, request: falcon.Request) -> None:
        """Raise Gone, for anybody who may ask at all."""
        params.caller(request)
        raise errors.Gone(reason="Networks are managed through the Network API.")


    def on_get(self, _request: falcon.Request, _response: falcon.Response, **_path: str) -> None:
        """Say that nothing is listed here."""
        raise errors.NotFound("The resource could not be found.")


class Networks(_Gone):
    """POST /os-networks, /os-networks/add and /os-tenant-networks."""

    def on_post(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Refuse."""
        self.refuse(request)


class NetworkItem(_Gone):
    """DELETE of one network."""

    def on_delete(self, request: falcon.Request, _response: falcon.Response, network_id: str) -> None:
        """Refuse."""
        self.refuse(request)


class NetworkAction(_Gone):
    """POST /os-networks/{id}/action: disassociate, associate_host, disassociate_host, disassociate_project."""

    def on_post(self, request: falcon.Request, _response: falcon.Response, network_id: str) -> None:
        """Refuse."""
        self.refuse(request)


ROUTES: Final = (
    ("/os-networks", Networks), ("/os-networks/add", Networks), ("/os-networks/{network_id}", NetworkItem),
    ("/os-networks/{network_id}/action", NetworkAction), ("/os-tenant-networks", Networks),
    ("/os-tenant-networks/{network_id}", NetworkItem))
