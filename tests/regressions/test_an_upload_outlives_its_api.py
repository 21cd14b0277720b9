"""An api that died while an agent sent it an image failed the operation: its image stayed `saving` for a minute."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon import testing

from api.core.image import from_agents
from hostler import clock
from hostler.images import statuses, uploads
from hostler.images.spec import upload_url
from tests.harness.image_cloud import BYTES, Cloud

DEAD_AFTER_S = 1.0


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(uploads, "DEAD_AFTER_S", DEAD_AFTER_S)
    monkeypatch.setattr(from_agents, "_PATIENCE_S", 5.0)
    made = Cloud(tmp_path)
    yield made
    made.db.dispose()


def send(cloud: Cloud, image_id: str) -> testing.Result:
    return cloud.call("PUT", f"/v2/uploads/{image_id}", None, body=b"content", headers=BYTES,
                      query_string=urllib.parse.urlsplit(upload_url(cloud.conf, image_id)).query)


def saving(cloud: Cloud) -> str:
    image_id: str = cloud.create()["id"]
    assert uploads.move(cloud.db, image_id, [statuses.QUEUED], statuses.SAVING)
    return image_id


def test_what_a_dead_api_held_is_taken_over(cloud: Cloud) -> None:
    image_id = saving(cloud)
    assert send(cloud, image_id).status_code == 204
    assert cloud.show(image_id)["status"] == "active"


def test_a_clock_that_is_ahead_does_not_hide_the_death(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    real = clock.utcnow
    with monkeypatch.context() as ahead:
        ahead.setattr(clock, "utcnow", lambda: real().replace(year=2100))
        image_id = saving(cloud)
    assert send(cloud, image_id).status_code == 204


def test_a_living_request_is_not_disturbed_and_the_agent_is_told_to_send_again(
        cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_agents, "_PATIENCE_S", 2 * DEAD_AFTER_S)
    image_id, over = saving(cloud), threading.Event()

    def live() -> None:
        while not over.wait(DEAD_AFTER_S / 20):
            uploads.move(cloud.db, image_id, [statuses.SAVING], statuses.SAVING)

    touching = threading.Thread(target=live)
    touching.start()
    try:
        answer = send(cloud, image_id)
    finally:
        over.set()
        touching.join()
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert cloud.show(image_id)["status"] == "saving"


@pytest.mark.parametrize(("found", "status_code"), [(statuses.ACTIVE, 204), (statuses.QUEUED, 503),
                                                        (statuses.KILLED, 409)])
def test_two_requests_that_meet(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, found: str, status_code: int
                                ) -> None:
    """Given another request that changes the image while this one stores its content, the agent gets an answer
    that makes it go on."""
    image_id: str = cloud.create()["id"]
    receive = from_agents.receive

    def interrupted(*arguments: object) -> None:
        assert uploads.move(cloud.db, image_id, [statuses.SAVING], found)
        receive(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(from_agents, "receive", interrupted)
    assert send(cloud, image_id).status_code == status_code
    assert cloud.show(image_id)["status"] == found
