"""The Network API's face alone, over a test cloud's database, with tokens that say who one is."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import falcon
from falcon import testing

from api import wsgi
from api.openstack.network import FACE
from api.policies import network as network_policies
from api.policy import Policy
from api.services import Services
from hostler import conf as hostler_conf
from hostler import errors
from hostler.context import RequestContext
from tests.harness.network_core import DEMO, OTHER, Cloud


class Tokens:
    """A fake identity service: a token is `<project>:<role>[,<role>]`, project being demo or other."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def authenticate_token(self, token: str, request_id: str | None = None) -> RequestContext:
        """Return the caller."""
        project, _, roles = token.partition(":")
        if project not in ("demo", "other"):
            raise errors.Unauthorized()
        return self._cloud.context({"demo": DEMO, "other": OTHER}[project], *roles.split(","))


@functools.cache
def _policy() -> Policy:
    return Policy(hostler_conf.load(config_files=[]), network_policies.DEFAULTS)


class Wakes:
    """Remembers which operations conductors were woken for."""

    def __init__(self) -> None:
        self.operation_ids: list[str] = []

    def wake(self, _context: RequestContext, *operation_ids: str) -> None:
        """Remember."""
        self.operation_ids += operation_ids


class Api:
    """Sends requests and gives back bodies; a status that was not expected fails the test."""

    def __init__(self, cloud: Cloud) -> None:
        self.wakes = Wakes()
        self.db = cloud.db
        unused: Any = types.SimpleNamespace()
        services: Any = Services(
            conf=cloud.conf, db=cloud.db, identity=Tokens(cloud),  # type: ignore[arg-type]
            policy=_policy(), images=unused,
            waker=self.wakes, compute=unused)  # type: ignore[arg-type]
        self.app: falcon.App[Any, Any] = wsgi.build(services, [FACE])
        self.client = testing.TestClient(self.app)

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = "demo:member,reader",
             status: int = 200, params: Mapping[str, Any] | None = None) -> Any:
        """Return the answer's JSON."""
        headers = {"X-Auth-Token": token} if token else {}
        result = self.client.simulate_request(method, "/network" + path, json=body, headers=headers,
                                              params=dict(params) if params else None, params_csv=False)
        assert result.status_code == status, (method, path, result.status_code, result.text)
        return result.json if result.text else None

    def refused(self, method: str, path: str, body: Any, status: int, kind: str, **options: Any) -> str:
        """Expect an error of type `kind`; return its message."""
        error = self.call(method, path, body, status=status, **options)["NeutronError"]
        assert error["type"] == kind and error["detail"] == "", error
        return str(error["message"])

    def make(self, singular: str, path: str, token: str = "demo:member,reader", **values: Any) -> dict[str, Any]:
        """Create one resource."""
        made: dict[str, Any] = self.call("POST", f"/v2.0/{path}", {singular: values}, token=token, status=201)[singular]
        return made


ADMIN = "demo:admin,member,reader"
OTHERS = "other:member,reader"


def network_with_subnet(api: Api, cidr: str, token: str = "demo:member,reader", **values: Any) -> tuple[str, str]:
    """Create a network with a subnet; returns the ids of both."""
    network_id = api.make("network", "networks", token, name="n", **values)["id"]
    return network_id, api.make("subnet", "subnets", token, network_id=network_id, cidr=cidr, ip_version=4)["id"]


def external_network(api: Api, cidr: str = "192.0.2.0/24") -> tuple[str, str]:
    """Create a network that leads outside; returns its id and its subnet's."""
    return network_with_subnet(api, cidr, ADMIN, **{"router:external": True})
