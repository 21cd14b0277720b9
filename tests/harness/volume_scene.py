"""What the campaigns on volumes share: one cloud with a storage node, and a careful user who asks again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import BACKENDS, Campaign, Point, patient

V3 = "/volume/v3"
VERSION = {"OpenStack-API-Version": "volume 3.59"}
# The types of volumes on the node whose agent is killed, and on the other.
HERE, THERE = BACKENDS.values()
NEVER_SEEN = ("error", "error_deleting", "error_extending", "error_restoring")
Request = Callable[[], requests.Response]


class VolumeScene:
    """A campaign with an image and a volume type for each back end."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign = campaign
        self.client = client
        self.image_id = client.make_image()
        self._names = itertools.count()
        for backend in BACKENDS.values():
            made = client.post(f"{V3}/types", {"volume_type": {
                "name": backend, "extra_specs": {"volume_backend_name": backend}}})
            assert made.status_code == 200, made.text

    def name(self, prefix: str) -> str:
        """Return a name that nothing has yet."""
        return f"{prefix}-{next(self._names)}"

    def make(self, noun: str, **values: Any) -> str:
        """Undisturbed, make a volume, snapshot or backup and wait until it is there; returns its id."""
        if noun == "volume":
            values = {"size": 1, "volume_type": HERE, **values}
        answer = self.client.post(f"{V3}/{noun}s", {noun: values}, headers=VERSION)
        assert answer.status_code == 202, answer.text
        made = str(answer.json()[noun]["id"])
        self.wait(noun, made, "available")
        return made

    def show(self, noun: str, key: str) -> dict[str, Any] | None:
        """Return a volume, snapshot or backup; None when it is gone."""
        answer = patient(lambda: self.client.get(f"{V3}/{noun}s/{key}"))
        if answer is not None and answer.status_code == 404:
            return None
        assert answer is not None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()[noun]
        return found

    def wait(self, noun: str, key: str, status: str | None, timeout_s: float = 60) -> dict[str, Any] | None:
        """Wait for a status, or (None) until it is gone; an error on the way is a false one."""
        end = time.monotonic() + timeout_s
        while (found := self.show(noun, key)) is not None:
            if found["status"] == status:
                return found
            assert found["status"] not in NEVER_SEEN or status in NEVER_SEEN, found
            assert time.monotonic() < end, f"{noun} {key} stays {found['status']}, not {status or 'gone'}"
            time.sleep(0.05)
        assert status is None, f"{noun} {key} is gone"
        return None

    def survive(self, point: Point, request: Request) -> requests.Response | None:
        """Make a request disturbed by `point`, and again if the api died under it: then the first may have been
        accepted, as a 4xx shows. Returns the first answer, if one came."""
        answer = self.campaign.survive(point, request)
        if answer is None:
            again = request()
            assert again.status_code < 500, again.text
        return answer

    def create(self, point: Point, noun: str, failing: Point | None = None, **values: Any) -> str:
        """Disturbed by `point`, ask for a volume, snapshot or backup as a careful user would; returns its id.

        There is no idempotency key here: a caller without an answer looks for the name before asking again.
        """
        name = self.name(noun)

        def request() -> requests.Response:
            return self.client.post(f"{V3}/{noun}s", {noun: {"name": name, **values}}, headers=VERSION)

        answer = self.campaign.survive(point, request, failing=failing)
        if answer is not None:
            return str(answer.json()[noun]["id"])
        found = self.client.get(f"{V3}/{noun}s?name={name}").json()[f"{noun}s"]
        assert len(found) <= 1
        return str((found or [request().json()[noun]])[0]["id"])

    def act(self, volume_id: str, body: dict[str, Any]) -> requests.Response:
        """Ask for an action on a volume."""
        return self.client.post(f"{V3}/volumes/{volume_id}/action", body, headers=VERSION)

    def remove(self, noun: str, key: str) -> None:
        """Undisturbed, delete and wait."""
        self.client.delete(f"{V3}/{noun}s/{key}").raise_for_status()
        self.wait(noun, key, None)

    def sizes(self) -> dict[str, int]:
        """Return what the project uses by the api's count."""
        project = self.client.project_id
        shown = self.client.get(f"{V3}/os-quota-sets/{project}?usage=true").json()["quota_set"]
        return {name: shown[name]["in_use"] for name in ("volumes", "gigabytes", "snapshots", "backups")}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeScene]:
    """A module's own cloud; skips without a broker and databases."""
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), volumes=True)
    try:
        yield VolumeScene(made, made.start())
    finally:
        made.stop()
