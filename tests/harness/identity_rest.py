"""The identity face alone, with an administrator, over any database."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from falcon import testing
from oslo_config import cfg

from api import wsgi
from api.face import Face
from api.openstack.identity import FACE
from api.policies import all_defaults
from api.policy import Policy
from api.services import Services
from hostler import conf as configuration
from hostler.bootstrap import Result, bootstrap
from hostler.db.engine import Database
from hostler.identity.service import Identity
from tests.harness import databases

PASSWORD = "correct horse"


@dataclasses.dataclass
class IdentityApi:
    """One api process with the identity face only."""

    db: Database
    services: Services
    client: testing.TestClient
    made: Result
    admin: str = ""

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None,
             **headers: str) -> testing.Result:
        """Send a request below /identity/v3 as the administrator, or with `token` ("" for none)."""
        sent = {"X-Auth-Token": self.admin if token is None else token, **headers}
        return self.client.simulate_request(method, "/identity/v3" + path, json=body,
                                            headers={name.replace("_", "-"): value for name, value in sent.items()
                                                     if value})

    def log_in(self, name: str, password: str, *, project: str | None = None, scope: Any = None) -> testing.Result:
        """Ask for a token by name and password."""
        wish: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": {
            "name": name, "domain": {"id": "default"}, "password": password}}}}
        if project is not None:
            scope = {"project": {"name": project, "domain": {"name": "Default"}}}
        if scope is not None:
            wish["scope"] = scope
        return self.call("POST", "/auth/tokens", {"auth": wish}, token="")

    def token_of(self, name: str, password: str, **scope: Any) -> str:
        """Return a token's text."""
        answer = self.log_in(name, password, **scope)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["X-Subject-Token"])

    def make_project(self, name: str, **values: Any) -> dict[str, Any]:
        """Create a project."""
        answer = self.call("POST", "/projects", {"project": {"name": name, **values}})
        assert answer.status_code == 201, answer.text
        return dict(answer.json["project"])

    def make_user(self, name: str, **values: Any) -> dict[str, Any]:
        """Create a user who knows PASSWORD."""
        answer = self.call("POST", "/users", {"user": {"name": name, "password": PASSWORD, **values}})
        assert answer.status_code == 201, answer.text
        return dict(answer.json["user"])

    def role(self, name: str) -> str:
        """Return a role's id."""
        return str(self.call("GET", f"/roles?name={name}").json["roles"][0]["id"])

    def grant(self, user: dict[str, Any], project: dict[str, Any], role: str) -> None:
        """Give a role."""
        path = f"/projects/{project['id']}/users/{user['id']}/roles/{self.role(role)}"
        assert self.call("PUT", path).status_code == 204

    def member(self, name: str, project_name: str, role: str = "member") -> tuple[dict[str, Any], dict[str, Any], str]:
        """Make a user with a role on a new project; returns user, project and a token."""
        user, project = self.make_user(name), self.make_project(project_name)
        self.grant(user, project, role)
        return user, project, self.token_of(name, PASSWORD, project=project_name)


def _configured(directory: Path, overrides: Mapping[str, Any]) -> cfg.ConfigOpts:
    return configuration.load([], config_files=[], overrides={
        "state_path": str(directory), "identity.password_rounds": 4, "identity.max_failed_logins": 3, **overrides})


class _Bootstrapped:
    """A cloud that was bootstrapped once in this process: each test gets copies of its rows and files."""

    made: Result

    def __init__(self, overrides: tuple[tuple[str, Any], ...]) -> None:
        self._overrides = dict(overrides)
        kept = tempfile.TemporaryDirectory(prefix="bootstrapped-")
        atexit.register(kept.cleanup)
        self.directory = Path(kept.name)

    @classmethod
    @functools.cache
    def of(cls, overrides: tuple[tuple[str, Any], ...]) -> _Bootstrapped:
        """Return the one with these options."""
        return cls(overrides)

    def fill(self, db: Database) -> None:
        """Bootstrap an empty database; on a server, each with the first one's keys and password."""
        databases.create_tables(db)
        self.made = bootstrap(db, _configured(self.directory, self._overrides), admin_password=None,
                              public_url="http://127.0.0.1:8780", out_dir=self.directory / "out")


@contextlib.contextmanager
def serving(url: str, directory: Path, faces: Sequence[Face] = (FACE,), project: str = "admin",
            **overrides: Any) -> Iterator[IdentityApi]:
    """Serve the face over the empty database at `url`; keys and client files lie below `directory`.

    Of further `faces` only what needs no other service works. The administrator logs in to `project`.
    """
    conf = _configured(directory, overrides)
    first = _Bootstrapped.of(tuple(sorted(overrides.items())))
    db = databases.prepare(Database(url, sqlite_synchronous="OFF"), first.fill)
    shutil.copytree(first.directory, directory, dirs_exist_ok=True)
    made = dataclasses.replace(first.made, clouds_file=directory / "out" / first.made.clouds_file.name,
                               openrc_file=directory / "out" / first.made.openrc_file.name)
    absent: Any = None
    services = Services(conf=conf, db=db, identity=Identity(db, conf), policy=Policy(conf, all_defaults()),
                        images=absent, waker=absent, compute=absent)
    api = IdentityApi(db=db, services=services, client=testing.TestClient(wsgi.build(services, faces)), made=made)
    api.admin = api.token_of("admin", made.admin_password or "", project=project)
    yield api
    db.dispose()
