"""python-cinderclient's own tests look for `field/attribute size` in a refusal, which named `volume.size`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client


@pytest.mark.parametrize(("path", "body", "named"), [
    ("/volume/v3/volumes", {"volume": {"size": -1}},
     "Invalid input for field/attribute size. Value: -1. -1 is less than the minimum of 1"),
    ("/volume/v3/volumes", {"volume": 5}, "field/attribute volume. "),
    ("/compute/v2.1/servers", {"server": {"name": "x" * 256, "flavorRef": "1", "networks": "none"}},
     "field/attribute name. "),
    ("/compute/v2.1/servers", {"server": {"name": "x", "flavorRef": "1", "networks": "none", "tags": ["a", "b/c"]}},
     "field/attribute tags.1. "),
    ("/compute/v2.1/servers", {"server": {"name": "x", "flavorRef": "1", "networks": [{"port": 5}]}},
     "field/attribute networks.0.port. "),
    ("/compute/v2.1/flavors", [], "field/attribute body. "),
])
def test_the_field_is_named_without_its_resource(client: Client, path: str, body: Any, named: str) -> None:
    refused = client.post(path, body)
    assert refused.status_code == 400 and named in refused.json()["badRequest"]["message"], refused.text
