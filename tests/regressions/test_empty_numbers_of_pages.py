"""`limit=` without a number was passed over, where the references answer 400."""

from __future__ import annotations

import pytest

from tests.harness.client import Client


@pytest.mark.parametrize("path", [
    "/compute/v2.1/servers?limit=", "/compute/v2.1/flavors/detail?limit=", "/compute/v2.1/os-keypairs?limit=",
    "/compute/v2.1/os-hypervisors?limit=", "/compute/v2.1/os-server-groups?limit=", "/volume/v3/volumes?limit=",
    "/volume/v3/volumes/detail?offset=", "/volume/v3/snapshots?limit=", "/image/v2/images?limit=",
    "/network/v2.0/ports?limit=", "/network/v2.0/networks?limit="])
def test_an_empty_number_is_none(client: Client, path: str) -> None:
    refused = client.get(path)
    assert refused.status_code == 400 and path.partition("?")[2].rstrip("=") in refused.text
    assert client.get(f"{path}1").status_code == 200
