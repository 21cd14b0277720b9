"""A server booted from a mapping of an image to a local disk without an `imageRef`, which the reference refuses.

So it does a blank disk with a source, a type of volume for a local disk, and a bus that there is not.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.harness.client import Client

LOCAL = {"source_type": "image", "destination_type": "local", "boot_index": 0}
BLANK = {"source_type": "blank", "destination_type": "volume", "volume_size": 1}


def boot(client: Client, disks: list[dict[str, Any]], image: str | None) -> requests.Response:
    body = client.server_body("", networks="none", block_device_mapping_v2=disks)
    if image is None:
        del body["server"]["imageRef"]
    else:
        body["server"]["imageRef"] = image
    return client.post("/compute/v2.1/servers", body)


@pytest.mark.parametrize("reference", ["", None])
def test_an_image_becomes_a_local_disk_with_an_image_reference_only(client: Client, image: str,
                                                                   reference: str | None) -> None:
    refused = boot(client, [{**LOCAL, "uuid": image}], reference)
    assert refused.status_code == 400 and "Mapping image to local" in refused.text
    assert client.get("/compute/v2.1/servers").json()["servers"] == []


def test_an_image_becomes_a_local_disk_only_to_boot_from(client: Client, image: str) -> None:
    for index in (None, -1, 1):
        assert boot(client, [{**LOCAL, "uuid": image, "boot_index": index}], image).status_code == 400
    taken = boot(client, [{**LOCAL, "uuid": image}], image)
    assert taken.status_code == 202
    client.delete(f"/compute/v2.1/servers/{taken.json()['server']['id']}")
    client.wait_gone(taken.json()["server"]["id"])


@pytest.mark.parametrize(("disk", "named"), [
    ({**BLANK, "uuid": "8d1ccd7e-3f1c-4b6f-a2a0-6b6a2f1b0d9e"}, "uuid"),
    ({**BLANK, "disk_bus": "bogus"}, "disk_bus"),
    ({"source_type": "blank", "destination_type": "local", "volume_type": "fast"}, "volume_type"),
])
def test_the_message_names_what_contradicts(client: Client, image: str, disk: dict[str, Any], named: str) -> None:
    refused = boot(client, [{**LOCAL, "uuid": image}, disk], image)
    assert refused.status_code == 400 and named in refused.json()["badRequest"]["message"]
