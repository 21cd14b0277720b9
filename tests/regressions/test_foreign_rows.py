"""No verb reads, changes or names a row of another project, whatever links the two.

Rows reached through a parent were not asked whose they are: a snapshot that a transfer left behind could be read,
destroyed and handed on by the volume's new owner. So each verb of each face is tried by one project with the rows of
another, in every mixture of own and foreign rows that its path and body take.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Base, Operation
from hostler.operations.states import UNFINISHED
from tests.harness import foreign_calls, two_projects
from tests.harness.client import Client
from tests.harness.foreign_calls import Call
from tests.harness.inprocess import Cloud
from tests.harness.old_versions import newest
from tests.harness.ports import wait_for
from tests.harness.two_projects import Scene, Tenant

pytestmark = pytest.mark.long

# Each relation between tables whose rows projects have → how its two ends come to be of two projects ("" never).
RELATIONS = {
    "address_groups.project_id": "", "address_scopes.project_id": "", "application_credentials.project_id": "",
    "application_credentials.user_id": "", "backups.parent_id": "", "backups.project_id": "", "fixed_ips.port_id": "",
    "fixed_ips.subnet_id": "a port on a shared network", "floating_ips.network_id": "an external network",
    "floating_ips.port_id": "", "floating_ips.project_id": "", "floating_ips.public_port_id": "",
    "floating_ips.router_id": "a port on a shared network behind its owner's router",
    "image_members.image_id": "a shared image", "image_tags.image_id": "", "images.project_id": "",
    "keypairs.user_id": "", "networks.project_id": "", "networks.qos_policy_id": "a shared policy",
    "port_forwardings.floating_ip_id": "", "port_forwardings.port_id": "", "port_security_groups.group_id": "",
    "port_security_groups.port_id": "", "ports.network_id": "a port on a shared network", "ports.project_id": "",
    "ports.qos_policy_id": "a shared policy", "ports.server_id": "", "qos_policies.project_id": "",
    "rbac_policies.project_id": "", "role_assignments.user_id": "", "router_ports.port_id": "",
    "router_ports.router_id": "", "routers.project_id": "", "security_group_rules.group_id": "",
    "security_group_rules.project_id": "", "security_group_rules.remote_address_group_id": "a shared address group",
    "security_group_rules.remote_group_id": "", "security_groups.project_id": "", "server_group_members.group_id": "",
    "server_group_members.server_id": "", "server_groups.project_id": "", "server_tags.server_id": "",
    "servers.image_id": "a server of a shared image", "servers.project_id": "", "snapshots.project_id": "",
    "snapshots.volume_id": "a volume given away without its snapshots",
    "subnet_pools.address_scope_id": "a shared scope", "subnet_pools.project_id": "", "subnets.network_id": "",
    "subnets.project_id": "", "subnets.subnetpool_id": "a shared pool", "volume_attachments.server_id": "",
    "volume_attachments.volume_id": "", "volume_transfers.project_id": "", "volume_transfers.volume_id": "",
    "volumes.project_id": ""}
# What the two may do because of a link: read what is shared, and use it.
_USES = ("GET /image/v2/images", "GET /network/v2.0/", "POST /compute/v2.1/servers", "POST /volume/v3/volumes",
         "POST /network/v2.0/ports", "PUT /network/v2.0/ports", "GET /identity/v3/projects",
         "GET /compute/v2.1/os-quota-sets/{project}/defaults", "GET /compute/v2.1/images/",
         "GET /compute/v2.1/os-networks/", "GET /compute/v2.1/os-tenant-networks/",
         "POST /image/v2/images/{image}/members", "DELETE /image/v2/images/{image}/members",
         "PUT /image/v2/images/{image}/members")


@pytest.fixture(scope="module")
def scene(cloud: Cloud, client: Client) -> Scene:
    """Two linked projects."""
    made = two_projects.build(cloud, client)
    for tenant in (made.owner, made.other):
        tenant.secrets |= _secrets(_rows_of(cloud, tenant), made, tenant)
    return made


def test_every_relation_is_thought_of() -> None:
    owned = _owned_tables()
    found = {f"{table.name}.{column.name}" for table in owned for column in table.columns
             for key in column.foreign_keys if key.column.table in (*owned, Base.metadata.tables["projects"],
                                                                   Base.metadata.tables["users"])}
    assert found == set(RELATIONS)


def test_every_verb_that_names_a_row_and_takes_a_body_has_one() -> None:
    templates = {(call.method, call.path) for call in foreign_calls.BODIES}
    no_body = {"POST /image/v2/images/{image}/actions/deactivate", "PUT /image/v2/images/{image}/file",
               "PUT /image/v2/images/{image}/stage", "PUT /image/v2/images/{image}/tags/x",
               "PUT /image/v2/uploads/{image}"}
    bare = {f"{method} {path}" for method, path in foreign_calls.routes()
            if method in ("POST", "PUT", "PATCH") and "{" in path and (method, path) not in templates}
    unneeded = ("/tags/x", "/roles", "/groups", "/access_rules", "/credentials/OS-EC2")
    assert {line for line in bare - no_body if not any(part in line for part in unneeded)} == set()


@pytest.mark.parametrize("intruder", ["owner", "other"])
def test_no_verb_crosses(cloud: Cloud, scene: Scene, intruder: str) -> None:
    own: Tenant = getattr(scene, intruder)
    foreign = scene.owner if intruder == "other" else scene.other
    before = _rows_of(cloud, foreign)
    found = list(_crossings(own, foreign, scene))
    assert not found, "\n".join(found)
    after = _rows_of(cloud, foreign)
    assert [(table, row, there) for table, rows in before.items() for row, there in itertools.zip_longest(
        rows, after[table]) if _kept(table, row) != _kept(table, there)] == []


def _crossings(own: Tenant, foreign: Tenant, scene: Scene) -> Iterator[str]:
    """Yield what a call told or did that it must not."""
    for call in foreign_calls.calls():
        for filled, foreign_ids in foreign_calls.choices(call, own.rows, foreign.rows, scene.linked):
            if not foreign_ids and (call.method == "DELETE" or "upload" in str(call.body)):
                continue  # one's own rows are needed for the calls to come
            answer = own.client.request(filled.method, filled.path, json=filled.body,
                                        headers=newest(filled.path))
            sent = filled.path + json.dumps(filled.body)
            told = [secret for secret in foreign.secrets if secret in answer.text and secret not in sent]
            if told:
                yield f"{_line(call, filled)} → {answer.status_code} tells {told[:3]}: {answer.text[:400]}"
            more_than_shared = foreign_ids - scene.shared or not f"{call.method} {call.path}".startswith(_USES)
            if foreign_ids and answer.status_code < 400 and more_than_shared and not _harmless(filled, answer):
                yield f"{_line(call, filled)} → {answer.status_code}: {answer.text[:200]}"
            if answer.status_code >= 500 and answer.status_code != 501:
                yield f"{_line(call, filled)} → {answer.status_code}: {answer.text[:200]}"


def _line(call: Call, filled: Call) -> str:
    return f"{call.method} {call.path} {json.dumps(call.body)} [{filled.path} {json.dumps(filled.body)}]"


def _harmless(call: Call, answer: Any) -> bool:
    """Return whether a call that names a foreign row succeeds and yet tells and changes nothing.

    That is a list filtered by it, a list that is always empty, a free text that happens to be its id, and a hint that
    is dropped.
    """
    if call.method == "GET":
        return "?" in call.path or [value for key, value in answer.json().items() if key != "links"] == [[]]
    return any(f'"{name}"' in json.dumps(call.body) for name in ("device_id", "instance_uuid", "different_host"))


def _owned_tables() -> list[sa.Table]:
    """Return the tables whose rows projects or users have, by themselves or through a parent."""
    tables = [table for table in Base.metadata.sorted_tables if table.name in _TABLES]
    assert len(tables) == len(_TABLES)
    return tables


_TABLES = {
    "address_groups", "address_scopes", "application_credentials", "backups", "fixed_ips", "floating_ips",
    "image_members", "image_tags", "images", "keypairs", "networks", "port_forwardings", "port_security_groups",
    "ports", "qos_policies", "rbac_policies", "role_assignments", "router_ports", "routers", "security_group_rules",
    "security_groups", "server_group_members", "server_groups", "server_tags", "servers", "snapshots", "subnet_pools",
    "subnets", "volume_attachments", "volume_transfers", "volumes"}


def _rows_of(cloud: Cloud, tenant: Tenant) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a project, of all tables, when nothing runs any more.

    An image's members are not the image's owner's alone: each answers for itself.
    """
    wait_for(lambda: not _unfinished(cloud), "every operation finished", timeout_s=60)
    project = ids.canonical(tenant.client.project_id)
    user = ids.canonical(tenant.rows["user"][0])
    found: dict[str, list[dict[str, Any]]] = {}
    with cloud.db.reading() as session:
        for table in _owned_tables():
            if table.name == "image_members":
                continue
            condition = _belongs(table, project, user)
            rows = session.execute(sa.select(table).where(condition)).mappings().all()
            found[table.name] = sorted(({key: value for key, value in row.items() if key not in _VOLATILE}
                                        for row in rows), key=str)
    return found


def _unfinished(cloud: Cloud) -> bool:
    with cloud.db.reading() as session:
        return session.scalar(sa.select(Operation.id).where(Operation.state.in_(UNFINISHED)).limit(1)) is not None


# What background work changes.
_VOLATILE = frozenset({"updated_at", "last_used_at"})


def _kept(table: str, row: dict[str, Any] | None) -> dict[str, Any]:
    """Return what nobody else may change: a router's count of what hosts were sent grows with guests' ports."""
    return {key: value for key, value in (row or {}).items() if (table, key) != ("routers", "spec_revision")}


def _belongs(table: sa.Table, project: str | None, user: str | None) -> sa.ColumnElement[bool]:
    if "project_id" in table.columns:
        return table.c.project_id == project
    if "user_id" in table.columns:
        return table.c.user_id == user
    [parent] = [column for column in table.columns for key in column.foreign_keys
                if column.info.get("relation") == "parent"][:1]
    target = next(iter(parent.foreign_keys)).column.table
    return parent.in_(sa.select(target.c.id).where(_belongs(target, project, user)))


def _secrets(rows: dict[str, list[dict[str, Any]]], scene: Scene, tenant: Tenant) -> set[str]:
    """Return what must not show of a project: ids of rows, and the mark that their names and metadata carry."""
    known = {ids.canonical(one) for one in scene.shared}
    found = {str(row["id"]) for table in rows.values() for row in table if "id" in row and row["id"] not in known}
    return {tenant.secret, *found, *(ids.bare(one) for one in found)}
