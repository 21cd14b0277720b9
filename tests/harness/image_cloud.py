"""An Image API over a test's own database and store, and a short way to speak to it as different people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from falcon import testing

from api import wsgi
from api.face import Face
from api.openstack.image import FACE
from api.policies import image as image_policies
from api.policy import Policy
from api.services import Services
from hostler import conf as configuration
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Domain, Project
from hostler.identity import keys
from hostler.images.store import ImageStore
from tests.harness import chosen_database, databases

PATCH_TYPE = "application/openstack-images-v2.1-json-patch"
BYTES = {"Content-Type": "application/octet-stream"}


class FakeIdentity:
    """Knows a token for each project's member and reader, and one for an administrator."""

    def __init__(self, projects: dict[str, str]) -> None:
        self._projects = projects

    def authenticate_token(self, token: str, *, request_id: str) -> RequestContext:
        """Return the context of `<project>`, `<project>:reader` or `admin`."""
        name, _, role = token.partition(":")
        if name not in self._projects:
            raise errors.Unauthorized()
        roles = ["admin", "member", "reader"] if name == "admin" else ["reader"] if role else ["member", "reader"]
        return RequestContext(user_id=ids.new_id(), project_id=self._projects[name], roles=roles,
                              request_id=request_id)


class Cloud:
    """An Image API and its parts."""

    def __init__(self, path: Path, faces: Sequence[Face] = (FACE,)) -> None:
        self.conf = configuration.load(config_files=[], overrides={
            "state_path": str(path), "database.connection": chosen_database.url_of(path / "hostler.db"),
            "database.sqlite_synchronous": "OFF"})
        keys.directory_of(self.conf).mkdir(parents=True)
        keys.ensure(keys.directory_of(self.conf))
        self.db = databases.prepare(Database.from_conf(self.conf))
        self.projects = {name: ids.new_id() for name in ("alice", "bob", "carol", "admin")}
        self.db.write(lambda session: session.add(Domain(id="default", name="Default")))
        self.db.write(lambda session: session.add_all(
            [Project(id=value, name=name, domain_id="default") for name, value in self.projects.items()]))
        self.store = ImageStore(self.conf)
        self.services = Services(
            conf=self.conf, db=self.db, identity=cast(Any, FakeIdentity(self.projects)),
            policy=Policy(self.conf, image_policies.DEFAULTS), images=self.store,
            waker=cast(Any, None), compute=cast(Any, None))
        self.client = testing.TestClient(wsgi.build(self.services, faces))

    def call(self, method: str, path: str, who: str | None = "alice", **options: Any) -> testing.Result:
        """Send a request below /image as somebody."""
        headers = {"Accept": "application/json", **({"X-Auth-Token": who} if who else {}), **options.pop("headers", {})}
        return self.client.simulate_request(method, f"/image{path}", headers=headers, **options)

    def create(self, who: str = "alice", **attributes: Any) -> dict[str, Any]:
        """Create an image."""
        body = {"name": "it", "disk_format": "raw", "container_format": "bare", **attributes}
        answer = self.call("POST", "/v2/images", who, json=body)
        assert answer.status_code == 201, answer.text
        return cast("dict[str, Any]", answer.json)

    def put(self, image_id: str, data: bytes, who: str = "alice", where: str = "file") -> testing.Result:
        """Upload data."""
        return self.call("PUT", f"/v2/images/{image_id}/{where}", who, body=data, headers=BYTES)

    def active(self, data: bytes = b"data", who: str = "alice", **attributes: Any) -> str:
        """Return the id of an image with data."""
        image_id = str(self.create(who, **attributes)["id"])
        assert self.put(image_id, data, who).status_code == 204
        return image_id

    def show(self, image_id: str, who: str = "alice") -> dict[str, Any]:
        """Show an image."""
        answer = self.call("GET", f"/v2/images/{image_id}", who)
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json)

    def names(self, query: str = "", who: str = "alice") -> list[str]:
        """List images' names."""
        answer = self.call("GET", "/v2/images", who, query_string=query)
        assert answer.status_code == 200, answer.text
        return [image["name"] for image in answer.json["images"]]

    def patch(self, image_id: str, *steps: dict[str, Any], who: str = "alice") -> testing.Result:
        """Change an image."""
        return self.call("PATCH", f"/v2/images/{image_id}", who, body=json.dumps(steps),
                         headers={"Content-Type": PATCH_TYPE})
