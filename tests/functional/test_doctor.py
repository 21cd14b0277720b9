"""hostler-manage doctor: each fault, made by hand, is found, said, mended when told, and then gone."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from hostler import clock, ids
from hostler.cmd import manage, reports
from hostler.cmd import running as running_commands
from hostler.context import RequestContext
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import (
    Allocation,
    Backend,
    Backup,
    FloatingIp,
    Lock,
    Operation,
    Port,
    PortForwarding,
    QuotaLimit,
    RouterPort,
    Server,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
)
from hostler.operations import doctor
from hostler.operations.kinds import cloud as cloud_kinds
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.specs import ConnectorSpec, VolumeSpec
from tests.harness import chosen_database
from tests.harness.doctor_scene import BACKEND, HOST, NODE, Scene
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

pytestmark = pytest.mark.long

Doctor = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=1, nodes=1, overrides={
        "conductor.poll_interval": 0.05, "quota.volumes": -1, "quota.gigabytes": -1})
    try:
        yield Scene(cloud, cloud.start())
    finally:
        cloud.stop()


@pytest.fixture
def call_doctor(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                capsys: pytest.CaptureFixture[str]) -> Doctor:
    """hostler-manage doctor, as typed: returns its exit status and report."""
    config = tmp_path / "hostler.conf"
    config.write_text(f"[database]\nconnection = {chosen_database.url_of(scene.cloud.directory / 'cloud.db')}\n")
    monkeypatch.setattr(reports, "_LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(running_commands, "set_up_logging", lambda *_: None)  # of this process, it is the tests' own

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["hostler-manage", "--config-file", str(config), "doctor", *words])
        with pytest.raises(SystemExit) as end:
            manage.main()
        said = capsys.readouterr().out
        return int(str(end.value.code)), json.loads(said) if "--json" in words else {"text": said}

    return call


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault: `make` makes it and returns the id of what is wrong, `mended` tells whether it was mended well."""

    check: str
    make: Callable[[Scene], str]
    mended: Callable[[Scene, str], bool]
    says: str
    flags: tuple[str, ...] = ()


FAULTS: dict[str, Fault] = {}


def fault(check: str, says: str, mended: Callable[[Scene, str], bool], *flags: str) -> Callable[..., Any]:
    """Declare a fault by the function that makes it."""
    def declare(make: Callable[[Scene], str]) -> Callable[[Scene], str]:
        FAULTS[make.__name__.replace("_", "-")] = Fault(check, make, mended, says, flags)
        return make

    return declare


def _operation(scene: Scene, resource: str, kind: str, state: str) -> str:
    operation = ids.new_id()
    scene.add(Operation(id=operation, kind=kind, resource_type="volume", resource_id=resource, request_id="req-1",
                        state=state))
    return operation


def _in_error(model: Any) -> Callable[[Scene, str], bool]:
    return lambda scene, key: scene.row(model, key).state == "error" and bool(scene.row(model, key).fault["message"])


def _guest_agrees(scene: Scene) -> bool:
    with scene.cloud.db.reading() as session:
        attached = session.scalars(sa.select(VolumeAttachment.volume_id).where(
            VolumeAttachment.server_id == scene.server)).all()
    return sorted(attached) == sorted(scene.compute.domains[scene.server].volumes)


def _is_free(scene: Scene, key: str) -> bool:
    """Wait until no operation works on it any more."""
    return bool(wait_for(lambda: scene.row(Lock, key) is None, "the operation's end"))


def _no_such_volume(scene: Scene, key: str) -> bool:
    return key not in scene.driver.find().volumes


@fault("locks", "is locked by operation", lambda scene, key: scene.row(Lock, key) is None)
def lock_of_a_finished_operation(scene: Scene) -> str:
    volume = scene.make_volume()
    scene.add(Lock(resource_id=volume, resource_type="volume", kind="volume.extend",
                   operation_id=_operation(scene, volume, "volume.extend", "failed")))
    return volume


@fault("creations", "is creating and no operation works on it", _in_error(Volume))
def volume_in_creation_by_nobody(scene: Scene) -> str:
    return scene.make_volume(state=volume_states.CREATING, backend_id=None, data=False)


@fault("creations", "is creating and no operation works on it", _in_error(Snapshot))
def snapshot_in_creation_by_nobody(scene: Scene) -> str:
    return scene.make_snapshot(state=volume_states.CREATING, data=False)


@fault("creations", "is creating and no operation works on it", _in_error(Backup))
def backup_in_creation_by_nobody(scene: Scene) -> str:
    return scene.make_backup(state=volume_states.CREATING)


@fault("creations", "is building and no operation works on it",
       lambda scene, key: scene.row(Server, key).vm_state == "error")
def server_in_creation_by_nobody(scene: Scene) -> str:
    server = scene.row(Server, scene.server)
    made = ids.new_id()
    copied = {column.key: getattr(server, column.key) for column in sa.inspect(Server).column_attrs}
    scene.add(Server(**{**copied, "id": made, "vm_state": "building", "host_id": None}))
    return made


@fault("claims", "has 1 GiB and claims 5", lambda scene, key: scene.row(Volume, key).claimed_gib == 1)
def extension_by_nobody(scene: Scene) -> str:
    return scene.make_volume(claimed_gib=5)


@fault("claims", "a place on another back end", lambda scene, key: scene.row(Volume, key).target_backend_id is None)
def move_by_nobody(scene: Scene) -> str:
    return scene.make_volume(target_backend_id=scene.backend)


@fault("connections", "which no record tells of",
       lambda scene, key: key not in scene.driver.find().connections.values())
def export_without_an_attachment(scene: Scene) -> str:
    volume = scene.make_volume()
    scene.driver.connect(VolumeSpec(id=volume, backend=BACKEND, size_gib=1), ids.new_id(), ConnectorSpec(host=HOST),
                         False)
    return volume


@fault("exports", "its storage node does not export",
       lambda scene, key: key in scene.driver.find().connections.values())
def attachment_without_its_export(scene: Scene) -> str:
    volume = scene.make_volume()
    scene.driver.disconnect(volume, scene.attach(volume))
    return volume


@fault("attachments", "is deleted", lambda scene, key: key not in scene.driver.find().connections.values())
def attachment_of_a_deleted_server(scene: Scene) -> str:
    volume, server = scene.make_volume(), scene.client.create_server(scene.client.make_image(), "short")
    scene.client.wait_server(server, "ACTIVE")
    scene.client.delete(f"/compute/v2.1/servers/{server}")
    scene.client.wait_gone(server)
    scene.attach(volume, server)
    return volume


@fault("attachments", "itself is deleted", _no_such_volume)
def attachment_of_a_deleted_volume(scene: Scene) -> str:
    volume = scene.make_volume(data=False, state="deleted", deleted_at=clock.utcnow(), backend_id=None)
    scene.add(VolumeAttachment(id=ids.new_id(), volume_id=volume, server_id=scene.server, state="reserved"))
    return volume


@fault("guest-volumes", "which no record says is attached",
       lambda scene, key: _guest_agrees(scene))
def disk_in_a_guest_by_nobody(scene: Scene) -> str:
    scene.compute.domains[scene.server].volumes.append(scene.make_volume())
    return scene.server


@fault("guest-volumes", "which is attached by its record",
       lambda scene, key: _guest_agrees(scene))
def attached_volume_that_the_guest_has_not(scene: Scene) -> str:
    volume = scene.make_volume()
    scene.attach(volume)
    scene.compute.domains[scene.server].volumes.remove(volume)
    return scene.server


@fault("leftovers", "its data is still there", _no_such_volume)
def file_of_a_deleted_volume(scene: Scene) -> str:
    return scene.make_volume(state="deleted", deleted_at=clock.utcnow(), backend_id=None)


@fault("leftovers", "its data is still there", lambda scene, key: key not in scene.driver.find().snapshots)
def file_of_a_deleted_snapshot(scene: Scene) -> str:
    return scene.make_snapshot(state="deleted", deleted_at=clock.utcnow())


@fault("unknown-data", "no record tells of it", _no_such_volume, "--delete-unknown")
def file_without_any_record(scene: Scene) -> str:
    volume = ids.new_id()
    scene.driver.create_volume(VolumeSpec(id=volume, backend=BACKEND, size_gib=1), None, lambda _: None)
    return volume


@fault("unknown-data", "no record tells of it", lambda scene, key: key not in scene.driver.find().snapshots,
       "--delete-unknown")
def snapshot_file_without_any_record(scene: Scene) -> str:
    snapshot = scene.make_snapshot()
    scene.write(sa.delete(Snapshot).where(Snapshot.id == snapshot))
    return snapshot


@fault("missing-data", "has no data on its storage", _in_error(Volume))
def volume_without_its_file(scene: Scene) -> str:
    return scene.make_volume(data=False)


@fault("missing-data", "has no data on its storage", _in_error(Snapshot))
def snapshot_without_its_file(scene: Scene) -> str:
    return scene.make_snapshot(data=False)


@fault("missing-data", "has no data on its storage", _in_error(Backup))
def backup_without_its_files(scene: Scene) -> str:
    return scene.make_backup()


@fault("host-claims", "and is not there", lambda scene, key: not _claims(scene, key))
def claim_without_a_server(scene: Scene) -> str:
    consumer = ids.new_id()
    scene.add(Allocation(consumer_id=consumer, host_id=scene.row(Server, scene.server).host_id, vcpus=1, ram_mib=64,
                         disk_gib=1))
    return consumer


@fault("host-claims", "claims nothing of it", lambda scene, key: _claims(scene, key) == 1)
def server_without_its_claim(scene: Scene) -> str:
    scene.write(sa.delete(Allocation).where(Allocation.consumer_id == scene.server))
    return scene.server


def _claims(scene: Scene, key: str) -> int:
    with scene.cloud.db.reading() as session:
        return len(session.scalars(sa.select(Allocation.consumer_id).where(Allocation.consumer_id == key)).all())


@fault("ports", "still has 1 port", lambda scene, key: scene.client.get(
    f"/network/v2.0/ports?device_id={key}").json()["ports"] == [])
def port_of_a_gone_server(scene: Scene) -> str:
    server = scene.client.create_server(scene.client.make_image(), "ports")
    scene.client.wait_server(server, "ACTIVE")
    with scene.cloud.db.reading() as session:
        kept = session.scalars(sa.select(Port).where(Port.server_id == server)).one()
        values = {column.key: getattr(kept, column.key) for column in sa.inspect(Port).column_attrs}
    scene.client.delete(f"/compute/v2.1/servers/{server}")
    scene.client.wait_gone(server)
    scene.add(Port(**values))
    return server


@fault("guests", "it is deleted", lambda scene, key: key not in scene.compute.domains)
def guest_of_a_deleted_server(scene: Scene) -> str:
    server = scene.client.create_server(scene.client.make_image(), "guest")
    scene.client.wait_server(server, "ACTIVE")
    domain = scene.compute.domains[server]
    scene.client.delete(f"/compute/v2.1/servers/{server}")
    scene.client.wait_gone(server)
    scene.compute.domains[server] = domain
    return server


@fault("guests", "no record tells of it", lambda scene, key: key not in scene.compute.domains, "--delete-unknown")
def guest_without_any_record(scene: Scene) -> str:
    server = ids.new_id()
    scene.compute.domains[server] = dataclasses.replace(scene.compute.domains[scene.server], name="stranger",
                                                        volumes=[])
    return server


@fault("guests", "has no guest on its host",
       lambda scene, key: _is_free(scene, key) and key in scene.compute.domains)
def server_without_its_guest(scene: Scene) -> str:
    with mock.patch.object(scene.compute, "_tell"):  # nobody hears of it
        scene.compute.happen(scene.server, "removed")
    return scene.server


def _on_host(scene: Scene) -> Any:
    return scene.cloud.agents[HOST].tools.network


@fault("host-networks", "belongs to nothing", lambda scene, _key: _on_host(scene).differences == [])
def tunnel_of_no_network(scene: Scene) -> str:
    _on_host(scene).differences.append({"type": "link", "id": "hvx0123456789a", "what": "is there", "leftover": True})
    return "hvx0123456789a"


@fault("host-networks", "lacks neighbour line", lambda scene, _key: _on_host(scene).differences == [])
def network_without_a_neighbour_line(scene: Scene) -> str:
    network = ids.new_id()
    _on_host(scene).differences.append({"type": "network", "id": network, "leftover": False,
                                        "what": "neighbour line 10.0.0.5 → fa:16:3e:00:00:05"})
    return network


@fault("host-networks", "has address 203.0.113.99", lambda scene, _key: _on_host(scene).addresses == {})
def floating_address_of_no_record(scene: Scene) -> str:
    router = scene.router["router"]
    _on_host(scene).addresses = {router: ["203.0.113.99"]}
    return router


def _idle_port(scene: Scene, owner: str, device: str) -> str:
    port = ids.new_id()
    scene.add(Port(id=port, project_id=scene.project, network_id=scene.router["network"], device_owner=owner,
                   device_id=device, mac_address=f"0e:{port[:2]}:{port[2:4]}:{port[4:6]}:{port[6:8]}:01"))
    return port


@fault("routers", "has no use for it", lambda scene, key: scene.row(Port, key) is None)
def port_of_a_deleted_router(scene: Scene) -> str:
    return _idle_port(scene, "network:router_interface", ids.new_id())


@fault("routers", "has no use for it", lambda scene, key: scene.row(Port, key) is None)
def port_of_a_deleted_floating_ip(scene: Scene) -> str:
    return _idle_port(scene, "network:floatingip", ids.new_id())


@fault("routers", "has no use for it", lambda scene, key: scene.row(Port, key) is None)
def gateway_of_a_deleted_host(scene: Scene) -> str:
    router = scene.router["router"]
    port = _idle_port(scene, "network:floatingip_agent_gateway", router)
    scene.add(RouterPort(port_id=port, router_id=router, role="snat"))
    return port


@fault("routers", "leads to 10.60.0.250", lambda scene, key: scene.row(FloatingIp, key).port_id is None)
def floating_ip_of_an_address_that_is_gone(scene: Scene) -> str:
    floating = scene.router["floating"]
    scene.write(sa.update(FloatingIp).where(FloatingIp.id == floating).values(fixed_ip_address="10.60.0.250"))
    return floating


@fault("routers", "leads to 10.60.0.250", lambda scene, key: scene.row(PortForwarding, key) is None)
def forwarding_to_an_address_that_is_gone(scene: Scene) -> str:
    forwarding = scene.router["forwarding"]
    scene.write(sa.update(PortForwarding).where(PortForwarding.id == forwarding).values(
        fixed_ip_address="10.60.0.250"))
    return forwarding


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_said_mended_and_then_gone(scene: Scene, call_doctor: Doctor, name: str) -> None:
    made = FAULTS[name]
    key = made.make(scene)
    assert not made.mended(scene, key) or made.check == "attachments"

    status, report = call_doctor("--json")
    assert status == 1
    assert [(found["check"], found["id"]) for found in report["findings"]] == [(made.check, key)]
    assert made.says in report["findings"][0]["problem"]
    assert report["findings"][0]["remedy"]
    assert report["findings"][0]["outcome"] is None
    assert report["unseen"] == []
    assert call_doctor()[1]["text"].count("--repair") == 1  # it says what it would do, and has done nothing

    status, report = call_doctor("--json", "--repair", *made.flags)
    assert status == 1
    assert not report["findings"][0]["outcome"].startswith(("left", "nothing to do")), report
    assert made.mended(scene, key)
    status, report = call_doctor("--json")
    assert (status, report["findings"]) == (0, [])


def test_unknown_data_is_left_without_the_second_word(scene: Scene, call_doctor: Doctor) -> None:
    volume = FAULTS["file-without-any-record"].make(scene)
    status, report = call_doctor("--json", "--repair")
    assert status == 1
    assert "--delete-unknown" in report["findings"][0]["outcome"]
    assert volume in scene.driver.find().volumes
    assert call_doctor("--delete-unknown")[0] == 2  # it goes with --repair
    call_doctor("--json", "--repair", "--delete-unknown")
    assert volume not in scene.driver.find().volumes


def test_what_an_operation_holds_is_left_alone(scene: Scene, call_doctor: Doctor) -> None:
    volume = scene.make_volume(data=False, claimed_gib=3)
    operation = _operation(scene, volume, "volume.extend", "running")
    scene.add(Lock(resource_id=volume, resource_type="volume", kind="volume.extend", operation_id=operation))
    # Its lease has no end, so no conductor takes it over while the doctor looks.
    scene.write(sa.update(Operation).where(Operation.id == operation).values(lease_until=None, owner="test"))
    try:
        assert call_doctor("--json", "--repair")[1]["findings"] == []
    finally:
        scene.write(sa.delete(Lock).where(Lock.resource_id == volume))
        scene.write(sa.delete(Operation).where(Operation.id == operation))
        scene.write(sa.delete(Volume).where(Volume.id == volume))


def test_one_check_alone(scene: Scene, call_doctor: Doctor) -> None:
    volume = scene.make_volume(data=False, claimed_gib=3)
    _, report = call_doctor("--json", "--repair", "--check", "claims")
    assert [found["check"] for found in report["findings"]] == ["claims"]
    assert scene.row(Volume, volume).state == volume_states.READY
    assert call_doctor("--check", "dance")[0] == 2
    scene.write(sa.delete(Volume).where(Volume.id == volume))


def test_a_project_above_its_quota_is_no_fault(scene: Scene, call_doctor: Doctor) -> None:
    scene.add(QuotaLimit(project_id=scene.project, resource="volumes", hard_limit=0))
    status, report = call_doctor()
    assert status == 0
    assert "volumes of 0" in report["text"]
    scene.write(sa.delete(QuotaLimit))


def test_a_second_doctor_is_told_of_the_first(scene: Scene, call_doctor: Doctor) -> None:
    operation = _operation(scene, doctor.CLOUD.id, cloud_kinds.AUDIT.name, "running")
    scene.write(sa.update(Operation).where(Operation.id == operation).values(lease_until=None, owner="test"))
    scene.add(Lock(resource_id=doctor.CLOUD.id, resource_type="cloud", kind=cloud_kinds.AUDIT.name,
                   operation_id=operation))
    assert call_doctor()[0] == 2
    scene.write(sa.delete(Lock).where(Lock.operation_id == operation))
    scene.write(sa.delete(Operation).where(Operation.id == operation))


def test_an_audit_that_nobody_takes_up_is_withdrawn(tmp_path: Path) -> None:
    db = Database(chosen_database.url_of(tmp_path / "alone.db"))
    schema.upgrade(db)
    operation = db.write(lambda session: doctor.accept_audit(session, RequestContext.system(), repair=True).id)
    assert doctor.withdraw(db, operation)
    with db.reading() as session:
        assert session.get_one(Operation, operation).state == "failed"
        assert not session.scalars(sa.select(Lock)).all()
    assert not doctor.withdraw(db, operation)
    db.dispose()


def test_a_backup_store_that_is_away_has_lost_nothing(scene: Scene, call_doctor: Doctor) -> None:
    backup, place = scene.make_backup(), scene.cloud.directory / NODE / "backups"
    place.rename(place.with_name("elsewhere"))
    try:
        status, report = call_doctor("--json", "--repair")
        assert (status, report["findings"]) == (2, [])
        assert report["unseen"] == [f"backup store of storage node {NODE}"]
    finally:
        place.with_name("elsewhere").rename(place)
        scene.write(sa.delete(Backup).where(Backup.id == backup))


def test_a_silent_agent_and_a_back_end_that_is_away_are_named(scene: Scene, call_doctor: Doctor) -> None:
    scene.driver.healthy = False
    scene.cloud.agents[HOST].stop()
    try:
        status, report = call_doctor()
        assert status == 2
        assert f"could not look at back end {NODE}@{BACKEND}" in report["text"]
        assert f"could not look at host {HOST}" in report["text"]
        assert "Nothing is wrong where it could be looked at." in report["text"]
    finally:
        scene.driver.healthy = True


def test_a_lost_back_end_needs_a_person(scene: Scene, call_doctor: Doctor) -> None:
    lost = ids.new_id()
    with scene.cloud.db.reading() as session:
        node = session.scalars(sa.select(VolumeNode.id)).one()
    scene.add(Backend(id=lost, node_id=node, name="gone", driver="fake"))
    volume = scene.make_volume(data=False, backend_id=lost)
    status, report = call_doctor("--json", "--repair", "--check", "backends")
    assert status == 1
    assert report["findings"][0]["outcome"] == "left: a person must decide"
    scene.write(sa.delete(Volume).where(Volume.id == volume))
