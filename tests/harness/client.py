"""A small HTTP client for tests that count milliseconds or watch every status; the rest use openstacksdk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import requests

from tests.harness import old_versions


class Client:
    """Speaks for one user on one project; keeps its connection."""

    def __init__(self, url: str, user: str, password: str, project: str, authority: Path | None = None) -> None:
        self.url = url
        self._auth = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "password": password, "domain": {"id": "default"}}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}}
        self._session = requests.Session()
        self._session.trust_env = False  # looking for proxies is a third of a request's time
        self._session.headers["Accept"] = "application/json"
        if authority is not None:
            self._session.verify = str(authority)
        self.token: dict[str, Any] = {}

    def try_login(self) -> bool:
        """Log in; False when the api does not answer."""
        try:
            self.login()
        except requests.ConnectionError:
            return False
        return True

    def login(self) -> None:
        """Get a token."""
        answer = self._session.post(f"{self.url}/identity/v3/auth/tokens", json=self._auth, timeout=30)
        answer.raise_for_status()
        self.token = answer.json()["token"]
        self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        self._session.headers["OpenStack-API-Version"] = "compute 2.96"

    @property
    def token_id(self) -> str:
        """The token itself."""
        return str(self._session.headers["X-Auth-Token"])

    @property
    def project_id(self) -> str:
        """The project's id."""
        return str(self.token["project"]["id"])

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send one request, in the newest version that has its path unless `options` name another."""
        if path.startswith(old_versions.OLD):
            options["headers"] = {**old_versions.newest(path), **(options.get("headers") or {})}
        return self._session.request(method, self.url + path, timeout=options.pop("timeout", 60), **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """POST a JSON body."""
        return self.request("POST", path, json=body, **options)

    def delete(self, path: str) -> requests.Response:
        """DELETE."""
        return self.request("DELETE", path)

    def make_image(self, name: str = "small", data: bytes = b"\0" * 1048576, disk_format: str = "raw") -> str:
        """Make an image; returns its id."""
        made = self.post("/image/v2/images", {"name": name, "disk_format": disk_format, "container_format": "bare"})
        made.raise_for_status()
        image_id = str(made.json()["id"])
        self.request("PUT", f"/image/v2/images/{image_id}/file", data=data,
                     headers={"Content-Type": "application/octet-stream"}).raise_for_status()
        return image_id

    def flavor_id(self, name: str = "m1.nano") -> str:
        """Return a flavor's id."""
        flavors = self.get("/compute/v2.1/flavors").json()["flavors"]
        return str(next(flavor["id"] for flavor in flavors if flavor["name"] == name))

    def server_body(self, image_id: str, name: str = "one", flavor: str = "42", **more: Any) -> dict[str, Any]:
        """Return a create request."""
        return {"server": {"name": name, "imageRef": image_id, "flavorRef": flavor, "networks": "auto", **more}}

    def create_server(self, image_id: str, name: str = "one", **more: Any) -> str:
        """Ask for a server; returns its id."""
        answer = self.post("/compute/v2.1/servers", self.server_body(image_id, name, **more))
        if answer.status_code != 202:
            raise AssertionError(f"{answer.status_code}: {answer.text}")
        return str(answer.json()["server"]["id"])

    def show(self, server_id: str) -> dict[str, Any] | None:
        """Return a server, or None when it is gone."""
        answer = self.get(f"/compute/v2.1/servers/{server_id}")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        server: dict[str, Any] = answer.json()["server"]
        return server

    def act(self, server_id: str, action: str, version: str = "2.96", **argument: Any) -> requests.Response:
        """Ask for an action of a server."""
        return self.post(f"/compute/v2.1/servers/{server_id}/action", {action: argument},
                         headers={"OpenStack-API-Version": f"compute {version}"})

    def show_image(self, image_id: str) -> dict[str, Any]:
        """Return an image; of one that is gone, that alone."""
        answer = self.get(f"/image/v2/images/{image_id}")
        return dict(answer.json()) if answer.ok else {"status": "gone"}

    def wait_server(self, server_id: str, *statuses: str, timeout_s: float = 60) -> dict[str, Any]:
        """Wait for one of `statuses`; an ERROR that is not among them fails at once with the fault."""
        end = time.monotonic() + timeout_s
        while True:
            server = self.show(server_id)
            assert server is not None, f"server {server_id} is gone"
            if server["status"] in statuses:
                return server
            assert server["status"] != "ERROR", server.get("fault")
            assert time.monotonic() < end, f"server {server_id} stays {server['status']}"
            time.sleep(0.05)

    def wait_gone(self, server_id: str, timeout_s: float = 60) -> None:
        """Wait until a server is not there any more; an ERROR that it did not have before fails at once."""
        end = time.monotonic() + timeout_s
        before = (self.show(server_id) or {}).get("fault")
        while (server := self.show(server_id)) is not None:
            assert server.get("fault") == before, server["fault"]
            assert time.monotonic() < end, f"server {server_id} stays {server['status']}"
            time.sleep(0.05)

    def wait_volume(self, volume_id: str, *statuses: str, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until a volume has one of `statuses`; returns it."""
        return self.wait_block(f"volumes/{volume_id}", *statuses, timeout_s=timeout_s)

    def wait_block(self, path: str, *statuses: str, timeout_s: float = 30) -> dict[str, Any]:
        """Wait until a resource of the block storage API (`snapshots/{id}`) has one of `statuses`; returns it."""
        end = time.monotonic() + timeout_s
        while True:
            answer = self.get(f"/volume/v3/{path}")
            answer.raise_for_status()
            ((_, found),) = answer.json().items()
            if found["status"] in statuses:
                shown: dict[str, Any] = found
                return shown
            assert not found["status"].startswith("error"), found
            assert time.monotonic() < end, f"{path} stays {found['status']}"
            time.sleep(0.05)

    def wait_block_gone(self, path: str, timeout_s: float = 30) -> None:
        """Wait until a resource of the block storage API is not there any more."""
        end = time.monotonic() + timeout_s
        while self.get(f"/volume/v3/{path}").status_code != 404:
            assert time.monotonic() < end, f"{path} stays"
            time.sleep(0.05)
