"""Swapping a volume that the server does not have answered 501, as if another one could not be swapped either."""

from __future__ import annotations

import uuid

import pytest

from tests.harness.client import Client
from tests.harness.volume_words import make_volume


@pytest.mark.parametrize("version", ["2.1", "2.96"])
def test_it_is_not_found(client: Client, image: str, version: str) -> None:
    server = client.create_server(image, networks="none")
    client.wait_server(server, "ACTIVE")
    answer = client.request(
        "PUT", f"/compute/v2.1/servers/{server}/os-volume_attachments/{uuid.uuid4()}",
        json={"volumeAttachment": {"volumeId": make_volume(client)}},
        headers={"OpenStack-API-Version": f"compute {version}"})
    assert answer.status_code == 404, answer.text
