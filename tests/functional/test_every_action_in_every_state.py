"""Each published action on a server × each state of it × idle, held by an operation, locked by its user.

What must come out is the reference's table (`tests.harness.published_states`): the action is taken, or the answer is
409 and names the state. The states are set in the records; nothing runs what is accepted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from api.openstack.compute.server.actions import ACTIONS
from hostler import clock, ids
from hostler.context import RequestContext
from hostler.db.models import FixedIp, Flavor, Host, Lock, Migration, Operation, PortSecurityGroup, Server
from hostler.operations.kinds import server as kinds
from hostler.resources.server import migrations, states
from tests.harness import compute_rest
from tests.harness.compute_rest import HOST, IMAGE, NETWORK, Cloud
from tests.harness.published_states import ACTIONS as PUBLISHED
from tests.harness.published_states import (
    EVERY,
    NOT_BUILT,
    ON_A_HOST,
    REFUSED_WHEN_LOCKED,
    REFUSED_WHILE_HELD,
    UNAVAILABLE,
)
from tests.harness.schemas import compute as published

ADDRESS = "10.0.0.3"
POWER = {"active": "running", "rescued": "running", "resized": "running", "paused": "paused"}


@dataclasses.dataclass
class Scene:
    """A server whose state is said, and the cloud it is in."""

    cloud: Cloud
    server_id: str
    groups: list[tuple[str, str]]
    port_id: str
    subnet_id: str

    def put(self, vm_state: str, *, held: bool, locked: bool) -> None:
        """Bring the server's records to a state, whatever the last action made of them."""
        self.cloud.services.db.write(lambda session: self._put(session, vm_state, held, locked))

    def _put(self, session: orm.Session, vm_state: str, held: bool, locked: bool) -> None:
        session.execute(sa.delete(Lock))
        session.execute(sa.update(Operation).where(Operation.state.in_(("pending", "running"))).values(
            state="succeeded", finished_at=clock.utcnow()))
        session.execute(sa.delete(PortSecurityGroup))
        session.execute(sa.delete(Migration))
        session.add_all(PortSecurityGroup(port_id=port, group_id=group) for port, group in self.groups)
        session.execute(sa.delete(FixedIp))
        session.add(FixedIp(port_id=self.port_id, subnet_id=self.subnet_id, ip_address=ADDRESS))
        session.execute(sa.update(Server).where(Server.id == self.server_id).values(
            vm_state=vm_state, power_state=POWER.get(vm_state, "shutdown"), locked=locked, deleted_at=None,
            host_id=HOST if vm_state in ON_A_HOST else None))
        if vm_state == states.RESIZED:
            migrations.begin(session, RequestContext.system(), session.get_one(Server, self.server_id), ids.new_id(),
                             migrations.RESIZE, status=migrations.FINISHED)
        if held:
            operation = Operation(id=ids.new_id(), kind=kinds.STOP.name, resource_type="server",
                                  resource_id=self.server_id, project_id=compute_rest.DEMO, state="running",
                                  request_id=f"req-{ids.new_id()}", arguments={}, arguments_version=1)
            session.add(operation)
            session.flush()
            session.add(Lock(resource_id=self.server_id, resource_type="server", operation_id=operation.id,
                             kind=operation.kind))

    def act(self, action: str, token: str = "admin") -> tuple[int, str]:
        """Ask for an action; returns the code and the answer's text. The host is down where that is asked for."""
        rule = PUBLISHED[action]
        self.cloud.services.db.write(lambda session: session.execute(sa.update(Host).where(Host.id == HOST).values(
            forced_down=action == "evacuate")))
        answer = self.cloud.act(self.server_id, action.split()[0], self._argument(rule.argument), token=token,
                                version=rule.last or "2.96")
        return answer.status_code, answer.text

    def _argument(self, argument: Any) -> Any:
        named = {"IMAGE": IMAGE, "NETWORK": NETWORK, "ADDRESS": ADDRESS}
        return {key: named.get(value, value) for key, value in argument.items()} if argument else argument


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One server on one host."""
    cloud = compute_rest.build(tmp_path_factory.mktemp("states"))
    server_id = cloud.running()
    cloud.services.db.write(lambda session: session.add(
        Flavor(flavorid="2", name="m1.larger", vcpus=2, ram_mib=1024, root_gib=2)))
    groups = [(row.port_id, row.group_id) for row in compute_rest.rows(cloud, PortSecurityGroup)]
    [address] = compute_rest.rows(cloud, FixedIp)
    yield Scene(cloud, server_id, groups, address.port_id, address.subnet_id)
    cloud.services.db.dispose()


def test_the_reference_and_we_know_the_same_actions_and_states() -> None:
    assert {action.split()[0] for action in PUBLISHED} == set(ACTIONS)
    assert (*EVERY, states.DELETED) == states.VM_STATES


def test_the_table_has_every_action_of_the_references_schemas_in_its_microversions() -> None:
    actions = {str(operation.action): operation for operation in published.operations()
               if operation.path == "/servers/{id}/action"}
    # The newest reference has RDP consoles no more.
    assert set(actions) == {action.split()[0] for action in PUBLISHED} - {"os-getRDPConsole"}
    for name, rule in PUBLISHED.items():
        operation = actions.get(name.split()[0])
        if operation is None:
            continue
        versions = [(2, minor) for minor in range(1, 97) if operation.schema((2, minor)) is not None]
        assert (versions[0], versions[-1]) == (_version(rule.first), _version(rule.last or "2.96")), name
        if not rule.refused:
            assert all(rule.answer in operation.statuses(version) for version in versions), name


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


@pytest.mark.parametrize("action", sorted(set(PUBLISHED) - NOT_BUILT - UNAVAILABLE))
def test_idle(scene: Scene, action: str) -> None:
    rule, wrong = PUBLISHED[action], []
    for vm_state in EVERY:
        scene.put(vm_state, held=False, locked=False)
        code, text = scene.act(action)
        right = code == rule.answer if vm_state in rule.states else code == 409 and _names(text, vm_state)
        wrong += [] if right else [(vm_state, code, text)]
    assert not wrong


@pytest.mark.parametrize("action", sorted(set(PUBLISHED) - NOT_BUILT - UNAVAILABLE))
def test_while_an_operation_holds_the_server(scene: Scene, action: str) -> None:
    rule, wrong = PUBLISHED[action], []
    for vm_state in EVERY:
        scene.put(vm_state, held=True, locked=False)
        code, text = scene.act(action)
        if rule.held and action not in REFUSED_WHILE_HELD and vm_state in rule.states:
            right = code == rule.answer
        else:
            right = code == 409 and ("task_state powering-off" in text or _names(text, vm_state))
        wrong += [] if right else [(vm_state, code, text)]
    assert not wrong


@pytest.mark.parametrize("action", sorted(set(PUBLISHED) - NOT_BUILT - UNAVAILABLE))
def test_locked_by_its_user(scene: Scene, action: str) -> None:
    rule, wrong = PUBLISHED[action], []
    for vm_state in rule.states:
        scene.put(vm_state, held=False, locked=True)
        code, text = scene.act(action, token="member")
        if rule.admin:
            right = code == 403
        elif rule.locked and action not in REFUSED_WHEN_LOCKED:
            right = code == rule.answer
        else:
            right = code == 409 and "locked" in text
        wrong += [] if right else [(vm_state, code, text)]
    assert not wrong


@pytest.mark.parametrize("vm_state", EVERY)
def test_a_deletion_is_taken_in_every_state_held_or_not(scene: Scene, vm_state: str) -> None:
    for held in (False, True):
        scene.put(vm_state, held=held, locked=False)
        assert scene.cloud.call("DELETE", f"/servers/{scene.server_id}", token="admin").status_code == 204
    scene.put(vm_state, held=False, locked=True)
    refused = scene.cloud.call("DELETE", f"/servers/{scene.server_id}")
    assert refused.status_code == 409 and "locked" in refused.text


def test_what_is_not_built_says_so_in_every_state(scene: Scene) -> None:
    for vm_state in EVERY:
        scene.put(vm_state, held=False, locked=False)
        answers = {action: scene.act(action)[0] for action in NOT_BUILT}
        assert answers == {action: 409 if action == "restore" else 501 for action in NOT_BUILT}, vm_state
        assert {scene.act(action)[0] for action in UNAVAILABLE} == {400}, vm_state


def _names(text: str, vm_state: str) -> bool:
    """Tell whether a refusal names the state: by its word, or, where a host is what lacks, by saying that."""
    return f"vm_state {vm_state}" in text or (vm_state not in ON_A_HOST and "not ready" in text)
