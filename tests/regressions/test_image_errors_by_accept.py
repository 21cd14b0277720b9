"""Flat JSON as the body of every image error crashed python-glanceclient, and Horizon's launch dialog with it.

The reference answers in the type that the request prefers, HTML first.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from tests.harness.client import Client
from tests.harness.inprocess import Cloud

glanceclient = pytest.importorskip("glanceclient", reason="python-glanceclient is not installed")

MISSING = f"/v2/images/{uuid.uuid4()}"


@pytest.fixture
def token(client: Client) -> str:
    return str(client.get("/image/v2/images").request.headers["X-Auth-Token"])


def test_glanceclient_reads_errors(cloud: Cloud, token: str) -> None:
    """Given the unmodified client, when calls fail, then it raises its own errors, with the cloud's message."""
    glance: Any = glanceclient.Client("2", endpoint=f"{cloud.url}/image", token=token)
    with pytest.raises(glanceclient.exc.HTTPNotFound, match=r"Image nothing-here could not be found"):
        glance.images.get("nothing-here")
    image = glance.images.create(name="made", disk_format="raw", container_format="bare")
    with pytest.raises(glanceclient.exc.HTTPConflict, match="already exists"):
        glance.images.create(name="again", id=image["id"])
    with pytest.raises(glanceclient.exc.HTTPBadRequest, match="marker"):
        list(glance.images.list(marker=str(uuid.uuid4())))
    with pytest.raises(glanceclient.exc.HTTPForbidden, match="reserved"):
        glance.images.update(image["id"], os_glance_import_task="x")
    with pytest.raises(glanceclient.exc.HTTPNotFound, match="Namespace none could not be found"):
        glance.metadefs_namespace.get("none")
    stranger: Any = glanceclient.Client("2", endpoint=f"{cloud.url}/image", token="wrong")
    with pytest.raises(glanceclient.exc.HTTPUnauthorized):
        list(stranger.images.list())
    glance.images.delete(image["id"])


@pytest.mark.parametrize("accept, kind", [
    (None, "text/html"), ("*/*", "text/html"), ("text/html, application/json", "text/html"),
    ("application/json", "application/json"), ("application/json, text/html;q=0.5", "application/json"),
    ("application/octet-stream", "text/plain"), ("not a type", "text/html")])
def test_the_type_is_the_one_preferred(cloud: Cloud, token: str, accept: str | None, kind: str) -> None:
    headers: dict[str, Any] = {"X-Auth-Token": token, "Accept": accept}
    for path, status in ((MISSING, 404), ("/v2/images/<b>", 404), ("/v2/images?limit=x", 400), ("/v2/nothing", 404)):
        answer = requests.get(f"{cloud.url}/image{path}", headers=headers, timeout=30)
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith(kind)
        assert "<b>" not in answer.text or kind != "text/html"
        if kind == "application/json":
            assert set(answer.json()) == {"message", "code", "title"}
        else:
            assert str(status) in answer.text.splitlines()[0] or f"<title>{status} " in answer.text
