"""Every method of the agent, over the bus, on fake back ends."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import errors, ids
from hostler.agent import programs
from hostler.agent.faults import Order
from hostler.resources.volume.specs import BackupSpec, ConnectorSpec, SourceSpec, UploadSpec, VolumeSpec
from tests.harness.contexts import attempt_of
from tests.harness.volume_agents import (
    CTX,
    GIB,
    NODE,
    Agent,
    describe_image,
    make_image,
    new_snapshot,
    new_volume,
    wait_for,
)
from volume import qemu_img
from volume.drivers.driver import DiskSource

_OPERATIONS: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _fresh_operations() -> None:
    _OPERATIONS.clear()


def op(name: str) -> str:
    """Return the id of the test's operation of this name."""
    return _OPERATIONS.setdefault(name, ids.new_id())


def backup_of(volume: VolumeSpec, *chain: BackupSpec) -> BackupSpec:
    return BackupSpec(id=ids.new_id(), store="s", volume_id=volume.id, size_gib=volume.size_gib,
                      chain=tuple(item.id for item in chain))


def test_volumes_come_from_everything(agent: Agent, tmp_path: Path) -> None:
    empty = agent.create()
    image = agent.create(image=make_image(tmp_path / "images"))
    token = agent.fake().content(image.id)
    assert agent.fake().content(empty.id) == "" and token
    snapshot = new_snapshot(image)
    agent.api.create_snapshot(attempt_of(op("snap")), NODE, snapshot, image)
    of_snapshot = agent.create(snapshot=snapshot, size_gib=2)
    of_volume = agent.create(volume=image)
    elsewhere = agent.create("blue", volume=image)
    peer = ConnectorSpec(host="other")
    connection = agent.api.connect_volume(attempt_of(op("c")), NODE, image, ids.new_id(), peer, True)
    exported = agent.create("blue", connection=connection)
    assert {agent.fake().content(item.id) for item in (of_snapshot, of_volume)} == {token}
    assert {agent.fake("blue").content(item.id) for item in (elsewhere, exported)} == {token}
    assert agent.fake().size_gib(of_snapshot.id) == 2


def test_a_volume_grows_goes_back_and_goes(agent: Agent) -> None:
    volume = agent.create()
    agent.fake().write(volume.id, "then")
    snapshot = new_snapshot(volume)
    for _ in range(2):
        assert "provider" in agent.api.create_snapshot(attempt_of(op("snap")), NODE, snapshot, volume)
    agent.fake().write(volume.id, "now")
    assert agent.api.extend_volume(attempt_of(op("extend")), NODE, volume, 3)["provider"] == {"fake": volume.id}
    agent.api.revert_volume(attempt_of(op("revert")), NODE, volume, snapshot)
    assert (agent.fake().content(volume.id), agent.fake().size_gib(volume.id)) == ("then", 3)
    found = agent.api.get_inventory(CTX, NODE)
    assert found["backends"]["red"] == {"volumes": [volume.id], "snapshots": [snapshot.id], "connections": {},
                                        "error": None}
    for _ in range(2):
        agent.api.delete_snapshot(attempt_of(op("unsnap")), NODE, snapshot, volume)
        agent.api.delete_volume(attempt_of(op("delete")), NODE, volume)
    assert agent.api.get_inventory(CTX, NODE)["backends"]["red"]["volumes"] == []


def test_an_image_takes_the_place_of_what_a_volume_held(agent: Agent, tmp_path: Path) -> None:
    volume, image = agent.create(size_gib=2), make_image(tmp_path / "images")
    for _ in range(2):
        agent.api.reimage_volume(attempt_of(op("reimage")), NODE, volume, image)
    made = agent.create(image=image)
    assert agent.fake().content(volume.id) == agent.fake().content(made.id) != ""
    assert agent.fake().size_gib(volume.id) == 2


def test_connections_come_and_go(agent: Agent) -> None:
    volume, attachment = agent.create(), ids.new_id()
    connector = ConnectorSpec(host="host1")
    first = agent.api.connect_volume(attempt_of(op("attach")), NODE, volume, attachment, connector, False)
    assert first.protocol == "fake"
    assert agent.api.connect_volume(attempt_of(op("attach")), NODE, volume, attachment, connector, False) == first
    assert agent.api.get_inventory(CTX, NODE)["backends"]["red"]["connections"] == {attachment: volume.id}
    for _ in range(2):
        agent.api.disconnect_volume(attempt_of(op("detach")), NODE, volume, attachment)
    assert agent.api.get_inventory(CTX, NODE)["backends"]["red"]["connections"] == {}


def test_a_node_needs_no_export_of_its_own_volume(agent: Agent) -> None:
    volume = agent.create()
    agent.fake().write(volume.id, "moved")
    own = ConnectorSpec.from_wire(agent.api.get_node_report(CTX, NODE)["connector"])
    connection = agent.api.connect_volume(attempt_of(op("move")), NODE, volume, ids.new_id(), own, True)
    assert connection.protocol == "local" and agent.fake().find().connections == {}
    copy = agent.create("blue", connection=connection)
    assert agent.fake("blue").content(copy.id) == "moved"
    host = ConnectorSpec(host=NODE)  # a host may have the node's name, when both are on one machine
    assert agent.api.connect_volume(attempt_of(op("at")), NODE, volume, ids.new_id(), host, True).protocol == "fake"


def test_backups_bring_contents_back(agent: Agent) -> None:
    volume = agent.create()
    agent.fake().write(volume.id, "monday")
    full = backup_of(volume)
    made = agent.api.create_backup(attempt_of(op("b1")), NODE, full, volume, None)
    assert made["stored_bytes"] > 0 and made["object_count"] == 1
    assert agent.api.create_backup(attempt_of(op("b1"), 2), NODE, full, volume, None) == made
    agent.fake().write(volume.id, "tuesday")
    snapshot = new_snapshot(volume)
    agent.api.create_snapshot(attempt_of(op("s")), NODE, snapshot, volume)
    agent.fake().write(volume.id, "wednesday")
    second = backup_of(volume, full)
    agent.api.create_backup(attempt_of(op("b2")), NODE, second, volume, snapshot)
    third = backup_of(volume, full, second)
    unchanged = agent.api.create_backup(attempt_of(op("b3")), NODE, third, volume, snapshot)
    assert unchanged == {"stored_bytes": 0, "object_count": 0}
    assert agent.api.get_inventory(CTX, NODE)["backups"] == sorted([full.id, second.id, third.id])
    for backup, content in ((third, "tuesday"), (full, "monday")):
        agent.api.restore_backup(attempt_of(op(content)), NODE, backup, volume)
        assert agent.fake().content(volume.id) == content
    new = agent.create("blue", size_gib=2, backup=second)
    assert agent.fake("blue").content(new.id) == "tuesday"
    with pytest.raises(errors.AgentError, match=third.id):
        agent.api.delete_backup(attempt_of(op("d")), NODE, second)
    for backup in (third, second, full):
        agent.api.delete_backup(attempt_of(op("d")), NODE, backup)
    assert agent.api.get_inventory(CTX, NODE)["backups"] == []
    assert not list((agent.home / "volume" / "work").iterdir())


def test_a_volume_in_use_is_backed_up_from_a_momentary_snapshot(agent: Agent) -> None:
    volume = agent.create()
    agent.fake().write(volume.id, "live")
    backup = backup_of(volume)
    attached = VolumeSpec(id=volume.id, backend="red", size_gib=1, attached=True)
    agent.service.faults.order(Order(step="agent.create_backup.read", action="fail"))
    with pytest.raises(errors.AgentError):
        agent.api.create_backup(attempt_of(op("b")), NODE, backup, attached, None)
    assert agent.fake().find().snapshots == ()
    agent.api.create_backup(attempt_of(op("b")), NODE, backup, attached, None)
    assert agent.fake().find().snapshots == ()
    target = agent.create(backup=backup)
    assert agent.fake().content(target.id) == "live"


def test_progress_is_told_with_its_attempt(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    name = op("op")
    monkeypatch.setattr("hostler.agent.progress.TELL_EVERY_S", 0.0)
    agent.api.create_volume(attempt_of(name, 3), NODE, new_volume(), SourceSpec())
    wait_for(lambda: agent.conductor.progress)
    assert agent.conductor.progress == [(name, 3, 50)]


def test_an_older_attempt_is_refused(agent: Agent) -> None:
    volume, name = new_volume(), op("op")
    agent.api.create_volume(attempt_of(name, 2), NODE, volume, SourceSpec())
    with pytest.raises(errors.StaleAttempt):
        agent.api.delete_volume(attempt_of(name), NODE, volume)
    assert agent.fake().find().volumes == (volume.id,)


def test_a_later_attempt_ends_the_earlier_copy(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, driver, name = new_volume(), agent.fake(), op("op")
    begun, ended = threading.Event(), []
    real = driver.create_volume

    def endless(spec: VolumeSpec, source: DiskSource | None, progress: Any) -> dict[str, Any]:
        monkeypatch.setattr(driver, "create_volume", real)
        begun.set()
        while True:
            progress(1)

    monkeypatch.setattr(driver, "create_volume", endless)

    def first() -> None:
        try:
            agent.api.create_volume(attempt_of(name), NODE, volume, SourceSpec())
        except errors.HostlerError as error:
            ended.append(type(error))

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(10)
    agent.api.create_volume(attempt_of(name, 2), NODE, volume, SourceSpec())
    thread.join(10)
    assert ended == [errors.StaleAttempt]
    assert driver.find().volumes == (volume.id,)


def test_copies_wait_for_one_another(agent: Agent) -> None:
    bench = agent.service.manager._bench
    with pytest.raises(errors.StaleAttempt), bench.work_on("v", None):
        for _ in range(4):
            bench.copies.acquire()
        try:
            other = bench.work_on("w", None)
            with other as waiting:
                def gone() -> None:
                    raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

                waiting.check = gone  # type: ignore[method-assign]
                with waiting.copying():
                    raise AssertionError("it did not wait")
        finally:
            for _ in range(4):
                bench.copies.release()


def test_images_that_do_not_fit_or_lie_are_refused(agent: Agent, tmp_path: Path) -> None:
    large = make_image(tmp_path / "large", size_bytes=2 * GIB)
    with pytest.raises(errors.AgentError, match="does not fit"):
        agent.create(image=large)
    base = tmp_path / "large" / "image.qcow2"
    overlay = tmp_path / "overlay.qcow2"
    programs.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(overlay)])
    with pytest.raises(errors.AgentError, match="unacceptable"):
        agent.create(size_gib=4, image=describe_image(overlay, "qcow2", 2 * GIB))
    with pytest.raises(errors.AgentError, match="not raw as claimed"):
        agent.create(size_gib=4, image=describe_image(base, "raw", 2 * GIB))
    gone = make_image(tmp_path / "gone", content=b"never fetched")
    Path(str(gone.path)).unlink()
    with pytest.raises(errors.AgentError, match="cannot be reached"):
        agent.create(image=gone)
    assert agent.fake().find().volumes == ()


def test_what_is_not_here_is_said(agent: Agent) -> None:
    with pytest.raises(errors.AgentError, match="no back end named green"):
        agent.create("green")
    volume = agent.create()
    with pytest.raises(errors.AgentError, match="not in this node's backup store"):
        agent.api.restore_backup(attempt_of(op("r")), NODE, backup_of(volume), volume)
    with pytest.raises(errors.AgentError, match="vmdk"):
        agent.api.upload_volume(attempt_of(op("u")), NODE, volume, UploadSpec(image_id="i", disk_format="vmdk", url="http://x"))


def test_a_report_tells_of_every_back_end(agent: Agent) -> None:
    agent.fake("blue").healthy = False
    report = agent.api.get_node_report(CTX, NODE)
    assert report["availability_zone"] == "nova" and report["backup_store"] and report["started_at"]
    red, blue = report["backends"]
    assert (red["name"], red["driver"], red["healthy"], red["free_gib"]) == ("red", "fake", True, 100_000.0)
    assert red["capabilities"]["volume_backend_name"] == "red"
    assert (blue["healthy"], blue["unhealthy_reason"]) == (False, "The fake back end was told to be away.")
    assert blue["total_gib"] == 100_000.0
    assert agent.api.get_inventory(CTX, NODE)["backends"]["blue"]["error"]


class Receiver(http.server.ThreadingHTTPServer):
    """An image store: answers PUTs with `statuses`, one each, then 204; keeps the last body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/image?signature=x"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_PUT(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_volume_is_uploaded_as_an_image(agent: Agent, receiver: Receiver, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostler.images.sending.PAUSES_S", (0.0,))
    volume = agent.create()
    agent.fake().write(volume.id, "to be an image")
    receiver.statuses = [503]
    upload = UploadSpec(image_id=ids.new_id(), disk_format="qcow2", url=receiver.url)
    agent.api.upload_volume(attempt_of(op("u")), NODE, volume, upload)
    assert len(receiver.bodies) == 2 and receiver.bodies[0] == receiver.bodies[1]
    path = tmp_path / "image.qcow2"
    path.write_bytes(receiver.bodies[1])
    again = agent.create(image=describe_image(path, "qcow2", GIB))
    assert agent.fake().content(again.id).startswith("sha256:")
    raw = tmp_path / "image.raw"
    qemu_img.convert(DiskSource({"driver": "qcow2", "file": {"driver": "file", "filename": str(path)}}, GIB),
                     str(raw), "raw", lambda _percent: None)
    with raw.open("rb") as file:
        assert b"to be an image" in file.read(100)
    assert not list((agent.home / "volume" / "work").iterdir())


def test_an_upload_that_is_refused_says_so(agent: Agent, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostler.images.sending.PAUSES_S", (0.0, 0.0))
    volume = agent.create()
    upload = UploadSpec(image_id=ids.new_id(), disk_format="qcow2", url=receiver.url)
    receiver.statuses = [403]
    with pytest.raises(errors.AgentError, match="HTTP 403"):
        agent.api.upload_volume(attempt_of(op("u")), NODE, volume, upload)
    receiver.statuses = [500, 500, 500]
    with pytest.raises(errors.AgentError, match="HTTP 500"):
        agent.api.upload_volume(attempt_of(op("u"), 2), NODE, volume, upload)
    assert len(receiver.bodies) == 4
