"""A tag beyond ASCII was added with a 500: it stood in the header Location as it was."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.harness.client import Client


@pytest.mark.parametrize("tag", ["日本", "😀", "é", "a b", "100%", "a?b#c"])
def test_any_tag_can_be_added(client: Client, image: str, tag: str) -> None:
    server_id = client.create_server(image)
    path = f"/compute/v2.1/servers/{server_id}/tags"
    answer = client.request("PUT", f"{path}/{quote(tag)}")
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"{path}/{quote(tag)}")
    assert client.get(answer.headers["Location"].removeprefix(client.url)).status_code == 204
    assert client.get(path).json() == {"tags": [tag]}
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
