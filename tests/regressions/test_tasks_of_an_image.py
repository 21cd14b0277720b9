"""Clients that wait for an image's tasks got 404 from /v2/images/{id}/tasks and gave up on the image."""

from __future__ import annotations

import uuid

from tests.harness.client import Client


def test_an_image_has_none_left(client: Client, image: str) -> None:
    answer = client.get(f"/image/v2/images/{image}/tasks")
    assert (answer.status_code, answer.json()) == (200, {"tasks": []})
    assert client.get(f"/image/v2/images/{uuid.uuid4()}/tasks").status_code == 404
