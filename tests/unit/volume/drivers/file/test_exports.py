"""Exports with real qemu-nbd processes: the same answer each time, restored, ended, never a stranger's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectionSpec, VolumeSpec
from tests.harness.file_backend import PORTS, MakeDriver, a_host, a_volume, ignore, kill, pids
from volume.drivers.file import nbd
from volume.drivers.file.driver import FileDriver


@pytest.fixture
def exports(state: Path) -> Path:
    return state / "volume/exports"


@pytest.fixture
def volume(driver: FileDriver) -> VolumeSpec:
    made = a_volume(1)
    driver.create_volume(made, None, ignore)
    return made


def io(connection: ConnectionSpec, command: str) -> subprocess.CompletedProcess[str]:
    data = connection.data
    return subprocess.run(["qemu-io", "-f", "raw", "-c", command,
                           f"nbd://{data['host']}:{data['port']}/{data['export']}"],
                          capture_output=True, text=True, check=False)


@contextlib.contextmanager
def listener(port: int) -> Iterator[None]:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        yield


def test_a_volume_is_reached_while_it_is_connected(driver: FileDriver, volume: VolumeSpec, exports: Path) -> None:
    attachment_id = ids.new_id()
    connection = driver.connect(volume, attachment_id, a_host(), False)
    assert (connection.protocol, connection.format) == ("nbd", "raw")
    assert connection.data | {"port": 0} == {"host": "127.0.0.1", "port": 0, "export": f"volume-{volume.id}",
                                             "tls": False, "tls_name": ""}
    assert "wrote" in io(connection, "write -P 7 0 1M").stdout
    assert driver.find().connections == {attachment_id: volume.id}
    assert (exports / f"{attachment_id}.json").stat().st_mode & 0o077 == 0
    for _ in range(2):
        driver.disconnect(volume.id, attachment_id)
        assert driver.find().connections == {}
        assert pids(exports) == {}
        assert io(connection, "read 0 1M").returncode != 0
    assert [path.name for path in exports.iterdir()] == [".ports"]
    driver.connect(volume, attachment_id, a_host(), False)
    assert "failed" not in io(connection, "read -P 7 0 1M").stdout


def test_asked_again_it_is_the_same_process_name_and_port(driver: FileDriver, volume: VolumeSpec,
                                                          exports: Path) -> None:
    attachment_id = ids.new_id()
    first = driver.connect(volume, attachment_id, a_host(), False)
    running = pids(exports)
    assert driver.connect(volume, attachment_id, a_host(), False) == first
    assert pids(exports) == running
    assert len(running) == 1


def test_a_dead_or_deaf_export_is_served_again_at_the_same_port(driver: FileDriver, volume: VolumeSpec,
                                                                exports: Path, monkeypatch: pytest.MonkeyPatch
                                                                ) -> None:
    monkeypatch.setattr(nbd, "_ANSWER_S", 0.2)
    monkeypatch.setattr(nbd, "_END_S", 0.5)
    attachment_id = ids.new_id()
    first = driver.connect(volume, attachment_id, a_host(), False)
    kill(pids(exports)[attachment_id])
    assert driver.connect(volume, attachment_id, a_host(), False) == first
    assert io(first, "read 0 1M").returncode == 0
    os.kill(pids(exports)[attachment_id], signal.SIGSTOP)
    assert driver.connect(volume, attachment_id, a_host(), False) == first
    assert io(first, "read 0 1M").returncode == 0


def test_another_start_of_the_agent_finds_and_restores_exports(driver: FileDriver, make_driver: MakeDriver,
                                                               volume: VolumeSpec, exports: Path) -> None:
    lives, dies, forgotten = ids.new_id(), ids.new_id(), ids.new_id()
    answers = {attachment: driver.connect(made, attachment, a_host(), False)
               for attachment, made in ((lives, volume), (dies, a_made(driver)), (forgotten, a_made(driver)))}
    before = pids(exports)
    kill(before[dies])
    (exports / f"{forgotten}.json").unlink()  # the agent ended between the two steps of a disconnect
    again = make_driver(volume_my_ip="127.0.0.2", volume_export_ports=f"{PORTS + 30}-{PORTS + 39}")
    again.open()
    after = pids(exports)
    assert after[lives] == before[lives]
    assert set(after) == {lives, dies}
    assert io(answers[dies], "read 0 1M").returncode == 0, "on the address and port that the guest knows"
    assert set(again.find().connections) == {lives, dies}


def a_made(driver: FileDriver) -> VolumeSpec:
    made = a_volume(1)
    driver.create_volume(made, None, ignore)
    return made


def test_what_dies_is_started_at_the_next_measurement(driver: FileDriver, volume: VolumeSpec, exports: Path) -> None:
    attachment_id = ids.new_id()
    connection = driver.connect(volume, attachment_id, a_host(), False)
    kill(pids(exports)[attachment_id])
    driver.get_stats()
    assert io(connection, "read 0 1M").returncode == 0


def test_one_export_that_cannot_be_restored_hinders_nobody(driver: FileDriver, make_driver: MakeDriver,
                                                           volume: VolumeSpec, exports: Path,
                                                           caplog: pytest.LogCaptureFixture) -> None:
    good, bad = ids.new_id(), ids.new_id()
    driver.connect(volume, good, a_host(), False)
    taken = driver.connect(a_made(driver), bad, a_host(), False)
    for pid in pids(exports).values():
        kill(pid)
    (exports / "broken.json").write_text("{")
    again = make_driver()
    with listener(taken.data["port"]):
        again.open()
        assert set(pids(exports)) == {good}
        again.get_stats()
        assert caplog.text.count(f"attachment {bad} is not right") == 1, "said once"
        with pytest.raises(errors.AgentError, match=f"listens on port {taken.data['port']}"):
            again.connect(VolumeSpec(id=again.find().connections[bad], backend="local", size_gib=1), bad, a_host(),
                          False)
    again.get_stats()
    assert io(taken, "read 0 1M").returncode == 0


def test_a_taken_port_is_passed_over(make_driver: MakeDriver) -> None:
    driver = make_driver(volume_export_ports=f"{PORTS}-{PORTS + 2}")
    driver.open()
    with listener(PORTS):
        ports = [driver.connect(a_made(driver), ids.new_id(), a_host(), False).data["port"] for _ in range(2)]
        assert ports == [PORTS + 1, PORTS + 2]
        unlucky = a_made(driver)
        with pytest.raises(errors.AgentError, match=r"All ports of \[volume\] export_ports"):
            driver.connect(unlucky, ids.new_id(), a_host(), False)
        assert unlucky.id not in driver.find().connections.values()


def test_back_ends_of_a_node_share_its_ports_and_see_their_own(make_driver: MakeDriver, exports: Path) -> None:
    drivers = [make_driver(name, volume_export_ports=f"{PORTS}-{PORTS + 1}") for name in ("local", "other")]
    attachments = [ids.new_id(), ids.new_id()]
    for driver, attachment_id in zip(drivers, attachments, strict=True):
        driver.open()
        driver.connect(a_made(driver), attachment_id, a_host(), False)
    for driver, attachment_id in zip(drivers, attachments, strict=True):
        assert list(driver.find().connections) == [attachment_id]
        driver.get_stats()
    assert len(pids(exports)) == 2


def test_many_at_once_get_a_port_each(driver: FileDriver, exports: Path) -> None:
    volumes = [a_made(driver) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda volume: driver.connect(volume, ids.new_id(), a_host(), False), volumes))
    assert len({answer.data["port"] for answer in answers}) == 20
    assert all(nbd.answers("127.0.0.1", answer.data["port"]) for answer in answers)
    assert len(pids(exports)) == 20
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(driver.delete_volume, volumes))
    assert pids(exports) == {}
    assert driver.find().connections == {}


def test_a_raw_volume_is_exported_twice_for_several_servers(make_driver: MakeDriver) -> None:
    driver = make_driver(format="raw")
    driver.open()
    volume = a_volume(1, multiattach=True)
    driver.create_volume(volume, None, ignore)
    one, two = (driver.connect(volume, ids.new_id(), a_host(name), False) for name in ("host1", "host2"))
    io(one, "write -P 9 0 1M")
    assert "failed" not in io(two, "read -P 9 0 1M").stdout
    refused = make_driver()
    refused.open()
    with pytest.raises(errors.AgentError, match="must be kept as raw"):
        refused.create_volume(a_volume(1, multiattach=True), None, ignore)


def test_a_qcow2_volume_has_one_writer(driver: FileDriver, volume: VolumeSpec) -> None:
    driver.connect(volume, ids.new_id(), a_host(), False)
    with pytest.raises(errors.AgentError, match="Another program on the storage node has the volume open"):
        driver.connect(volume, ids.new_id(), a_host("host2"), False)
    assert len(driver.find().connections) == 1
    several = VolumeSpec(id=volume.id, backend="local", size_gib=1, multiattach=True)  # its type was changed
    with pytest.raises(errors.AgentError, match="kept as qcow2, which one server at a time can use"):
        driver.connect(several, ids.new_id(), a_host("host2"), False)


def test_readonly_is_kept_and_can_be_changed(driver: FileDriver, make_driver: MakeDriver, volume: VolumeSpec,
                                             exports: Path) -> None:
    attachment_id = ids.new_id()
    connection = driver.connect(volume, attachment_id, a_host(), True)
    assert io(connection, "write 0 1M").returncode != 0
    kill(pids(exports)[attachment_id])
    make_driver().open()
    assert io(connection, "write 0 1M").returncode != 0
    assert driver.connect(volume, attachment_id, a_host(), False) == connection
    assert io(connection, "write 0 1M").returncode == 0


def test_a_host_that_has_the_directory_gets_the_file(driver: FileDriver, volume: VolumeSpec, exports: Path,
                                                     state: Path) -> None:
    share = (state / "volumes/local/.hostler-share").read_text().strip()
    connection = driver.connect(volume, ids.new_id(), a_host(shares={share: "/mnt/volumes"}), False)
    assert connection == ConnectionSpec(protocol="file", format="qcow2",
                                        data={"share": share, "path": f"volume-{volume.id}.qcow2"})
    assert pids(exports) == {}
    other = driver.connect(volume, ids.new_id(), a_host(shares={ids.new_id(): "/mnt/volumes"}), False)
    assert other.protocol == "nbd"


def test_what_cannot_be_reached_is_refused(driver: FileDriver, volume: VolumeSpec) -> None:
    with pytest.raises(errors.AgentError, match="cannot reach the volume") as caught:
        driver.connect(volume, ids.new_id(), a_host(protocols=("file", "rbd")), False)
    assert "neither the directory of the volume" in caught.value.details
    with pytest.raises(errors.AgentError, match="is not on its back end"):
        driver.connect(a_volume(1), ids.new_id(), a_host(), False)


@pytest.mark.parametrize(("option", "value", "text"), [
    ("export_ports", "10809", "not a range of ports"), ("export_ports", "20-10", "not a range of ports"),
    ("export_ports", "1-70000", "not a range of ports"),
    ("tls_dir", "/nonexistent", "has no ca-cert.pem, server-cert")])
def test_settings_that_cannot_work_are_told_at_the_start(make_driver: MakeDriver, option: str, value: str,
                                                         text: str) -> None:
    driver = make_driver(**{f"volume_{option}": value})
    with pytest.raises(errors.AgentError, match=text):
        driver.open()


def test_an_address_of_another_machine_is_told(make_driver: MakeDriver) -> None:
    driver = make_driver(volume_my_ip="192.0.2.1")
    driver.open()
    with pytest.raises(errors.AgentError) as caught:
        driver.connect(a_made(driver), ids.new_id(), a_host(), False)
    assert "192.0.2.1 is no address of the storage node" in caught.value.details
    assert driver.find().connections == {}


def test_strangers_are_left_alone(driver: FileDriver, volume: VolumeSpec, exports: Path) -> None:
    """A pid file that names a stranger, and a stranger whose words look like an export's, both live on."""
    attachment_id = ids.new_id()
    driver.connect(volume, attachment_id, a_host(), False)
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()", f"--pid-file={exports}/{attachment_id}.pid"],
            stdin=subprocess.PIPE)) for _ in range(2)]
        (exports / f"{attachment_id}.pid").write_text(str(strangers[0].pid))
        driver.disconnect(volume.id, attachment_id)
        assert [stranger.poll() for stranger in strangers] == [None, None]


def test_a_deleted_volume_is_exported_no_more(driver: FileDriver, volume: VolumeSpec, exports: Path) -> None:
    driver.connect(volume, ids.new_id(), a_host(), False)
    driver.delete_volume(volume)
    assert pids(exports) == {}
    assert driver.find().connections == {}


def test_the_record_says_what_is_served(driver: FileDriver, volume: VolumeSpec, exports: Path) -> None:
    attachment_id = ids.new_id()
    connection = driver.connect(volume, attachment_id, a_host("host7"), True)
    record = json.loads((exports / f"{attachment_id}.json").read_text())
    assert (record["port"], record["host"], record["readonly"], record["volume_id"], record["backend"]) == (
        connection.data["port"], "host7", True, volume.id, "local")
