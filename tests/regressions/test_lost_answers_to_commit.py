"""The database carried a commit out and its answer was lost: the repeated transaction made everything twice, or
answered 409 to what had been accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import exc

from hostler import ids
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.request_threads import serves_requests


class LostAnswers:
    """While armed, each commit of a request is carried out, and then the connection is gone."""

    def __init__(self, cloud: Cloud) -> None:
        self.lost = 0
        self.armed = False
        self._dialect = cloud.db.engine.dialect
        self._commit = self._dialect.do_commit

    def commit(self, connection: Any) -> None:
        """Commit, and break the connection."""
        self._commit(connection)
        if self.armed and serves_requests():
            self.lost += 1
            raise exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)


@pytest.fixture
def answers(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[LostAnswers]:
    """The fault, not armed."""
    made = LostAnswers(cloud)
    monkeypatch.setattr(cloud.db.engine.dialect, "do_commit", made.commit)
    yield made


Make = Callable[[Client, str], tuple[str, dict[str, Any], str]]  # path, body, the list in which one more appears


def _network(client: Client) -> str:
    return str(client.post("/network/v2.0/networks", {"network": {"name": ids.new_id()}}).json()["network"]["id"])


def _subnet_of(client: Client, network_id: str) -> None:
    assert client.post("/network/v2.0/subnets", {"subnet": {
        "network_id": network_id, "ip_version": 4, "cidr": "10.9.0.0/24"}}).ok


def _volume(client: Client) -> str:
    volume_id = str(client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"])
    client.wait_volume(volume_id, "available")
    return volume_id


def _plain(path: str, noun: str, plural: str, **values: Any) -> Make:
    return lambda _client, _image: (path, {noun: {"name": ids.new_id(), **values}}, plural)


def _subnet(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/network/v2.0/subnets", {"subnet": {"network_id": _network(client), "ip_version": 4,
                                                "cidr": "10.7.0.0/24"}}, "subnets"


def _port(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    network_id = _network(client)
    _subnet_of(client, network_id)
    return "/network/v2.0/ports", {"port": {"network_id": network_id}}, "ports"


def _rule(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    group = client.post("/network/v2.0/security-groups", {"security_group": {"name": ids.new_id()}}).json()
    return "/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": group["security_group"]["id"], "direction": "ingress", "protocol": "tcp",
        "port_range_min": 22, "port_range_max": 22}}, "security_group_rules"


def _flavor(_client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/compute/v2.1/flavors", {"flavor": {"name": ids.new_id(), "ram": 64, "vcpus": 1, "disk": 1}}, "flavors"


def _server_group(_client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/compute/v2.1/os-server-groups", {"server_group": {"name": ids.new_id(), "policy": "affinity"}}, \
        "server_groups"


def _server(client: Client, image: str) -> tuple[str, dict[str, Any], str]:
    return "/compute/v2.1/servers", client.server_body(image, f"s-{ids.new_id()[:8]}"), "servers"


def _snapshot(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/volume/v3/snapshots", {"snapshot": {"volume_id": _volume(client)}}, "snapshots"


def _backup(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/volume/v3/backups", {"backup": {"volume_id": _volume(client)}}, "backups"


def _transfer(client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/volume/v3/os-volume-transfer", {"transfer": {"volume_id": _volume(client), "name": "t"}}, "transfers"


def _user(_client: Client, _image: str) -> tuple[str, dict[str, Any], str]:
    return "/identity/v3/users", {"user": {"name": ids.new_id(), "password": "a long one"}}, "users"


MAKES: dict[str, Make] = {
    "network": _plain("/network/v2.0/networks", "network", "networks"),
    "subnet": _subnet, "port": _port, "rule": _rule,
    "security group": _plain("/network/v2.0/security-groups", "security_group", "security_groups"),
    "server": _server, "flavor": _flavor, "server group": _server_group,
    "key pair": _plain("/compute/v2.1/os-keypairs", "keypair", "keypairs", type="ssh", public_key=(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Sx7iXbBNGRPzdZ5hQ2jzdQw0Z6uNs0Yb1g8d9bVwq one")),
    "aggregate": _plain("/compute/v2.1/os-aggregates", "aggregate", "aggregates"),
    "volume": _plain("/volume/v3/volumes", "volume", "volumes", size=1),
    "volume type": _plain("/volume/v3/types", "volume_type", "volume_types"),
    "snapshot": _snapshot, "backup": _backup, "transfer": _transfer,
    "image": lambda _client, _image: ("/image/v2/images", {"name": ids.new_id()}, "images"),
    "project": _plain("/identity/v3/projects", "project", "projects"),
    "role": _plain("/identity/v3/roles", "role", "roles"),
    "domain": _plain("/identity/v3/domains", "domain", "domains"),
    "user": _user,
}


@pytest.mark.parametrize("noun", MAKES)
def test_it_is_made_once_and_answered_as_made(client: Client, image: str, answers: LostAnswers, noun: str) -> None:
    path, body, plural = MAKES[noun](client, image)

    def there() -> int:
        return len(client.get(path, params={"limit": 1000} if plural != "aggregates" else None).json()[plural])

    before = there()
    answers.armed = True
    answer = client.post(path, body)
    answers.armed = False
    assert answer.status_code in (200, 201, 202), answer.text
    assert answers.lost > 0
    assert there() == before + 1


def test_several_servers_are_made_once(client: Client, image: str, answers: LostAnswers) -> None:
    answers.armed = True
    answer = client.post("/compute/v2.1/servers", client.server_body(image, "many-lost", min_count=3, max_count=3))
    answers.armed = False
    assert answer.status_code == 202, answer.text
    assert len(client.get("/compute/v2.1/servers?name=^many-lost").json()["servers"]) == 3


def test_changes_are_answered_as_accepted(client: Client, image: str, answers: LostAnswers) -> None:
    """A stop, an attachment, deletions: the repeat finds the operation there, which is no conflict."""
    server_id = client.create_server(image, "changed")
    client.wait_server(server_id, "ACTIVE")
    volume_id = _volume(client)
    answers.armed = True
    attached = client.post(f"/compute/v2.1/servers/{server_id}/os-volume_attachments",
                           {"volumeAttachment": {"volumeId": volume_id}})
    answers.armed = False
    assert attached.status_code == 200, attached.text
    client.wait_volume(volume_id, "in-use")
    wait_for(lambda: not client.show(server_id)["OS-EXT-STS:task_state"], "rest", 30)  # type: ignore[index]
    for act, status in (({"os-stop": None}, "SHUTOFF"), ({"os-start": None}, "ACTIVE")):
        answers.armed = True
        answer = client.post(f"/compute/v2.1/servers/{server_id}/action", act)
        answers.armed = False
        assert answer.status_code == 202, answer.text
        client.wait_server(server_id, status)
        wait_for(lambda: not client.show(server_id)["OS-EXT-STS:task_state"], "rest", 30)  # type: ignore[index]
    network_id = _network(client)
    for path in (f"/network/v2.0/networks/{network_id}", f"/compute/v2.1/servers/{server_id}"):
        answers.armed = True
        answer = client.delete(path)
        answers.armed = False
        assert answer.status_code == 204, answer.text
    client.wait_gone(server_id)
