"""Calls of the Network API that tests of routers repeat."""

from __future__ import annotations

from typing import Any

from tests.harness.client import Client

N = "/network/v2.0"


def made(client: Client, noun: str, **values: Any) -> dict[str, Any]:
    answer = client.post(f"{N}/{noun}s", {noun: values})
    assert answer.status_code == 201, answer.text
    return dict(answer.json()[noun])


def fault(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["NeutronError"]["type"]


def put(client: Client, path: str, body: Any) -> Any:
    return client.request("PUT", f"{N}/{path}", json=body)


def net(client: Client, cidr: str, **values: Any) -> tuple[str, str]:
    """Return the ids of a network and its subnet."""
    network = made(client, "network", name=cidr, **values)
    return network["id"], made(client, "subnet", network_id=network["id"], ip_version=4, cidr=cidr)["id"]


def join(client: Client, router: str, subnet: str) -> Any:
    return put(client, f"routers/{router}/add_router_interface", {"subnet_id": subnet})


def gate(client: Client, router: str, network: str | None) -> Any:
    info = None if network is None else {"network_id": network}
    return put(client, f"routers/{router}", {"router": {"external_gateway_info": info}})
