"""An image with a signature was taken as if somebody would verify it; nobody does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.image_cloud import Cloud

NAMES = ("img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid")


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_is_refused_by_name(tmp_path: Path, name: str) -> None:
    images = Cloud(tmp_path)
    body = {"name": "signed", "disk_format": "raw", "container_format": "bare", name: "value"}
    answer = images.call("POST", "/v2/images", "alice", json=body, headers={"Accept": "application/json"})
    assert answer.status_code == 501 and "signature" in answer.text
    image = images.create()["id"]
    assert images.patch(image, {"op": "add", "path": f"/{name}", "value": "value"}).status_code == 501
    assert name not in images.show(image) and images.names() == ["it"]
