"""The unmodified `openstack` client against the identity face, over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from api import wsgi
from api.front.server import HttpServer
from api.openstack.identity import FACE
from api.policies import identity as rules
from api.policy import Policy
from api.services import Services
from hostler import conf as configuration
from hostler.bootstrap import bootstrap
from hostler.db.engine import Database
from hostler.db.models import Base
from hostler.identity.service import Identity
from tests.harness import chosen_database, openstack_cli

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a function that runs `openstack …` and gives its JSON; keyword arguments are environment variables."""
    home = tmp_path_factory.mktemp("cloud")
    conf = configuration.load([], config_files=[], overrides={
        "state_path": str(home), "identity.password_rounds": 4, "api.bind_host": "127.0.0.1", "api.bind_port": 0})
    db = Database(chosen_database.url_of(home / "hostler.db"))
    Base.metadata.create_all(db.engine)
    absent: Any = None
    services = Services(conf=conf, db=db, identity=Identity(db, conf), policy=Policy(conf, rules.DEFAULTS),
                        images=absent, waker=absent, compute=absent)
    server = HttpServer(conf, wsgi.build(services, [FACE]))
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    made = bootstrap(db, conf, admin_password=None, public_url=url, out_dir=home)

    def run(*arguments: str, fails: bool = False, **environment: str) -> Any:
        where = environment or {"OS_CLIENT_CONFIG_FILE": str(made.clouds_file), "OS_CLOUD": "hostler"}
        silent = ("delete", "add", "remove", "set", "revoke", "contains")
        wants_json = arguments[1] not in silent and arguments[2:3] != ("delete",)
        done = openstack_cli.run([*arguments, *(["-f", "json"] if wants_json else [])], {"HOME": str(home), **where})
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else json.loads(done.stdout) if wants_json else done.stdout

    run.url = url  # type: ignore[attr-defined]
    yield run
    server.stop()
    thread.join(timeout=10)
    db.dispose()


def test_a_project_its_user_and_an_application_credential(client: Client) -> None:
    assert client("token", "issue")["project_id"]
    project = client("project", "create", "--description", "d", "red")
    assert {one["Name"] for one in client("project", "list")} == {"admin", "red"}
    assert client("project", "show", "red")["id"] == project["id"]
    client("user", "create", "--password", "pw one", "--project", "red", "--email", "b@example.org", "bob")
    client("role", "add", "--user", "bob", "--project", "red", "member")
    assignments = client("role", "assignment", "list", "--names", "--user", "bob", "--project", "red")
    assert [(one["Role"], one["Project"]) for one in assignments] == [("member", "red@Default")]
    effective = client("role", "assignment", "list", "--effective", "--names", "--user", "bob")
    assert {one["Role"] for one in effective} == {"member", "reader"}

    bob = {"OS_AUTH_URL": client.url + "/identity", "OS_USERNAME": "bob", "OS_PASSWORD": "pw one",
           "OS_PROJECT_NAME": "red", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
           "OS_IDENTITY_API_VERSION": "3"}
    made = client("application", "credential", "create", "--role", "member", "ci", **bob)
    credential = {key.lower(): value for key, value in made.items()}
    machine = {"OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": client.url + "/identity/v3",
               "OS_APPLICATION_CREDENTIAL_ID": credential["id"],
               "OS_APPLICATION_CREDENTIAL_SECRET": credential["secret"]}
    assert client("token", "issue", **machine)["project_id"] == project["id"]
    assert [one["Name"] for one in client("application", "credential", "list", **bob)] == ["ci"]
    client("application", "credential", "delete", "ci", **bob)
    client("token", "issue", fails=True, **machine)

    client("role", "remove", "--user", "bob", "--project", "red", "member")
    assert "401" in client("token", "issue", fails=True, **bob)
    client("user", "delete", "bob")
    client("project", "delete", "red")
    assert [one["Name"] for one in client("project", "list")] == ["admin"]


def test_what_administrators_look_at(client: Client) -> None:
    assert {one["Name"] for one in client("role", "list")} >= {"admin", "manager", "member", "reader"}
    assert [one["Name"] for one in client("domain", "list")] == ["Default"]
    assert {one["Type"] for one in client("catalog", "list")} >= {"identity", "compute", "image", "network"}
    assert len(client("endpoint", "list", "--service", "compute")) == 3
    assert {one["Type"] for one in client("service", "list")} >= {"identity", "compute", "image", "network"}
    assert [one["Region"] for one in client("region", "list")] == ["RegionOne"]
    assert client("user", "show", "admin")["name"] == "admin"
    assert client("group", "list") == []


def test_a_group_and_its_members(client: Client) -> None:
    """Given a group with a role on a project, then who is put into it can work there, until taken out of it."""
    group = client("group", "create", "--description", "who may", "crew")
    assert (group["name"], group["description"]) == ("crew", "who may")
    client("project", "create", "ship")
    client("user", "create", "--password", "pw ann", "ann")
    client("group", "set", "--description", "who sail", "crew")
    assert client("group", "show", "crew")["description"] == "who sail"
    client("role", "add", "--group", "crew", "--project", "ship", "member")
    ann = {"OS_AUTH_URL": client.url + "/identity", "OS_USERNAME": "ann", "OS_PASSWORD": "pw ann",
           "OS_PROJECT_NAME": "ship", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
           "OS_IDENTITY_API_VERSION": "3"}
    client("token", "issue", fails=True, **ann)
    client("group", "add", "user", "crew", "ann")
    assert "ann in group crew" in client("group", "contains", "user", "crew", "ann")
    assert client("token", "issue", **ann)["project_id"]
    assert [one["Name"] for one in client("group", "list", "--user", "ann")] == ["crew"]
    assert [one["Name"] for one in client("user", "list", "--group", "crew")] == ["ann"]
    given = client("role", "assignment", "list", "--names", "--group", "crew")
    assert [(one["Role"], one["Group"], one["Project"]) for one in given] == [
        ("member", "crew@Default", "ship@Default")]
    effective = client("role", "assignment", "list", "--names", "--effective", "--project", "ship")
    assert {(one["Role"], one["User"]) for one in effective} == {("member", "ann@Default"), ("reader", "ann@Default")}
    client("group", "remove", "user", "crew", "ann")
    assert client("group", "contains", "user", "crew", "ann") == ""  # it says so on the other stream
    client("token", "issue", fails=True, **ann)
    client("role", "remove", "--group", "crew", "--project", "ship", "member")
    client("group", "delete", "crew")
    assert client("group", "list") == []
