"""The libvirt driver on a real libvirtd: the contract, a guest's whole life, a hung and a restarted daemon."""

from __future__ import annotations

import base64
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compute import diskfile
from compute.layout import Layout
from compute.virt import driver as virt
from compute.virt.contract import DriverContract, MakeGuest, MakeNic, MakeVolume
from compute.virt.libvirt import domainxml, probe
from compute.virt.libvirt.driver import LibvirtDriver
from compute.virt.migration import Origin
from hostler import errors, ids
from hostler.images.cache import ImageCache
from hostler.resources.server import rescue_device
from hostler.resources.server.hardware import Freeze
from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ImageSpec, RescueSpec, ServerSpec
from tests.harness import real_parts

BOOT_S = 120  # an emulated guest on a busy machine
# As much of the QEMU guest agent as freezing takes: it really freezes a file system, and says so on the console.
GUEST_AGENT = r"""#!/bin/sh
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" = org.qemu.guest_agent.0 ] && exec 3<> /dev/${port##*/}
done
echo agent: up > /dev/console
while :; do
  read -r line <&3 || { sleep 1; continue; }
  answer=1
  case "$line" in
  *guest-sync*) answer=$(echo "$line" | sed 's/.*"id" *: *\([0-9]*\).*/\1/');;
  *fsfreeze-freeze*) fsfreeze --freeze /persist && echo agent: frozen > /dev/console;;
  *fsfreeze-thaw*) fsfreeze --unfreeze /persist && echo agent: thawed > /dev/console;;
  esac
  case "$line" in *guest-sync-delimited*) printf '\377' >&3;; esac
  echo "{\"return\": $answer}" >&3
done
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("libvirt")


@pytest.fixture(scope="module")
def uri(directory: Path) -> Iterator[str]:
    with real_parts.libvirtd(directory / "d") as found:
        yield found


@pytest.fixture(scope="module")
def image() -> ImageSpec:
    return real_parts.tiny_image()


@pytest.fixture(scope="module")
def layout(directory: Path) -> Layout:
    made = Layout(directory / "state")
    made.prepare()
    return made


def new_driver(uri: str, layout: Layout, host: str = "host1", *, virt_type: str = "qemu",
               timeout_s: float = 20) -> LibvirtDriver:
    machine = domainxml.Machine(host=host, virt_type=virt_type, cpu_mode="auto", disk_cache="auto",
                                pcie_ports=12)
    made = LibvirtDriver(machine, uri=uri, call_timeout_s=timeout_s, probe_timeout_s=5, directory=layout.root)
    made.open()
    return made


@pytest.fixture
def driver(uri: str, layout: Layout) -> Iterator[LibvirtDriver]:
    made = new_driver(uri, layout)
    yield made
    for server_id in made.list_servers():
        made.destroy(server_id)
    made.close()


@pytest.fixture
def make_guest(layout: Layout) -> MakeGuest:
    """Guests with an empty disk: they stay in the firmware, which is all that most tests need."""
    def make() -> virt.Guest:
        server = ServerSpec(id=ids.new_id(), name="empty & <odd> \x07name", hostname="empty", project_id="p",
                            user_id="u", vcpus=1, ram_mib=64, root_gib=1)
        layout.server(server.id).mkdir(parents=True)
        disks = diskfile.DiskFiles(layout).ensure(server, None)
        return virt.Guest(server, disks, (), layout.console_log(server.id))

    return make


@pytest.fixture
def make_volume(directory: Path) -> MakeVolume:
    """Volumes that are raw files."""
    def make() -> virt.VolumeDisk:
        volume_id = ids.new_id()
        path = directory / f"volume-{volume_id}"
        with path.open("wb") as stream:
            stream.truncate(1 << 30)
        return virt.VolumeDisk(volume_id, "vdb", virt.FileSource(path), cache="writeback")

    return make


@pytest.fixture
def tiny(layout: Layout, image: ImageSpec) -> virt.Guest:
    server = ServerSpec(id=ids.new_id(), name="tiny", hostname="tiny", project_id="p", user_id="u", vcpus=1,
                        ram_mib=128, root_gib=1, image=image, config_drive=True)
    layout.server(server.id).mkdir(parents=True)
    base = ImageCache(layout.images, max_bytes=1 << 30, min_age_s=0).fetch(image)
    return virt.Guest(server, diskfile.DiskFiles(layout).ensure(server, base), (), layout.console_log(server.id))


@pytest.fixture
def bridge() -> Iterator[str]:
    name = "hbrdrivertest"
    made = subprocess.run(["ip", "link", "add", name, "type", "bridge"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no bridge can be made here: {made.stderr.strip()}")
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield name
    subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def make_nic(bridge: str) -> MakeNic:
    return lambda: virt.Nic(ids.new_id(), "fa:16:3e:00:00:01", bridge, "htptest", 1400)


def wait_for(condition: Callable[[], bool], timeout_s: float, what: str) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"{what}: not in {timeout_s} s"
        time.sleep(0.2)
    return time.monotonic() - started


class TestLibvirtDriver(DriverContract):
    """The shared tests on real QEMU."""

    settle_s = 10.0


def test_a_guest_boots_obeys_the_power_button_and_starts_again(driver: LibvirtDriver, tiny: virt.Guest) -> None:
    server_id, log = tiny.server.id, tiny.console_log
    for boot in (1, 2):
        driver.create(tiny)
        took_s = wait_for(lambda boot=boot: log.read_text(errors="replace").count("ready") >= boot, BOOT_S, "boot")
        print(f"boot {boot}: ready after {took_s:.1f} s")
        driver.shutdown(server_id)
        took_s = wait_for(lambda: driver.get_power_state(server_id) == virt.SHUTDOWN, 60, "power button")
        print(f"off after {took_s:.1f} s")
    driver.destroy(server_id)
    assert driver.list_servers() == {}


@pytest.mark.contract("N-SNAPSHOT")
def test_an_agent_in_the_guest_freezes_its_file_systems_while_a_copy_begins(
        driver: LibvirtDriver, tiny: virt.Guest, layout: Layout, directory: Path) -> None:
    user_data = base64.b64encode(GUEST_AGENT.encode()).decode()
    server = dataclasses.replace(tiny.server, id=ids.new_id(), user_data=user_data)
    layout.server(server.id).mkdir(parents=True)
    base = ImageCache(layout.images, max_bytes=1 << 30, min_age_s=0).fetch(real_parts.tiny_image())
    guest = virt.Guest(server, diskfile.DiskFiles(layout).ensure(server, base), (), layout.console_log(server.id))
    disk, copy = guest.disks[0].path, directory / "frozen-copy"
    driver.create(guest)

    def last(word: str) -> int:
        return guest.console_log.read_text(errors="replace").rfind(f"agent: {word}")

    def take() -> None:
        try:
            assert driver.copy_disk(server.id, disk, copy, lambda _percent: None, freeze=Freeze.MUST)
        finally:
            driver.end_copy(server.id)
            copy.unlink(missing_ok=True)

    def taken() -> bool:
        try:
            take()
        except errors.AgentError:  # libvirt sees the agent a moment later, and waits 5 s for its answer
            return False
        return True

    with pytest.raises(errors.AgentError, match="os_require_quiesce.*no guest agent"):
        take()
    wait_for(lambda: last("up") >= 0, BOOT_S, "the agent in the guest")
    wait_for(taken, 120, "a copy of frozen file systems")
    wait_for(lambda: last("thawed") > last("frozen") >= 0, 60, "file systems that were frozen and thawed")
    driver.destroy(server.id)


def test_a_guest_uses_a_volume_sees_it_grow_and_gives_it_back(
        driver: LibvirtDriver, tiny: virt.Guest, make_volume: MakeVolume) -> None:
    server_id, volume = tiny.server.id, make_volume()
    driver.create(tiny)
    driver.attach_volume(server_id, volume)  # in the firmware: nobody answers a request to let go
    assert not driver.detach_volume(server_id, volume.volume_id)
    assert driver.list_volumes() == {server_id: [volume.volume_id]}
    wait_for(lambda: "ready" in tiny.console_log.read_text(errors="replace"), BOOT_S, "boot")
    took_s = wait_for(lambda: driver.detach_volume(server_id, volume.volume_id), 30, "the guest to let go")
    print(f"let go after {took_s:.1f} s")
    assert driver.list_volumes() == {server_id: []}
    driver.attach_volume(server_id, volume)
    assert driver.resize_volume(server_id, volume.volume_id, 2 << 30)
    assert isinstance(volume.source, virt.FileSource) and volume.source.path.stat().st_size == 2 << 30
    wait_for(lambda: driver.detach_volume(server_id, volume.volume_id), 30, "the guest to let go again")
    driver.attach_volume(server_id, volume)
    driver.power_off(server_id)
    assert driver.list_volumes() == {server_id: [volume.volume_id]}
    driver.destroy(server_id)


def test_a_paused_guest_lets_go_of_its_volume_when_it_runs_again(
        driver: LibvirtDriver, tiny: virt.Guest, make_volume: MakeVolume) -> None:
    server_id, volume, gone = tiny.server.id, make_volume(), []
    driver.set_event_listener(lambda _: None, lambda: None, lambda *each: gone.append(each))
    driver.create(tiny)
    wait_for(lambda: "ready" in tiny.console_log.read_text(errors="replace"), BOOT_S, "boot")
    driver.attach_volume(server_id, volume)
    driver.pause(server_id)
    assert not driver.detach_volume(server_id, volume.volume_id)
    assert gone == [] and driver.list_volumes() == {server_id: [volume.volume_id]}
    driver.unpause(server_id)
    wait_for(lambda: gone == [(server_id, volume.volume_id)], 60, "the event of the late release")
    assert driver.list_volumes() == {server_id: []}
    assert driver.detach_volume(server_id, volume.volume_id, ask=False), "nothing is left to do but the definition"
    driver.destroy(server_id)


def test_a_guest_has_the_hardware_that_image_and_flavor_ask_for(
        driver: LibvirtDriver, tiny: virt.Guest, make_volume: MakeVolume) -> None:
    server = dataclasses.replace(
        tiny.server, image_properties={"hw_disk_bus": "scsi", "hw_video_model": "virtio", "hw_boot_menu": "true",
                                       "hw_time_hpet": "yes", "hw_qemu_guest_agent": "no"},
        extra_specs={"hw_rng:rate_bytes": "4096", "quota:disk_read_iops_sec": "5000", "hw:cpu_cores": "1"})
    guest, volume = dataclasses.replace(tiny, server=server), make_volume()
    driver.create(guest)
    wait_for(lambda: "ready" in guest.console_log.read_text(errors="replace"), BOOT_S, "boot from a SCSI disk")
    driver.attach_volume(server.id, volume)
    assert driver.list_volumes() == {server.id: [volume.volume_id]}
    assert driver.resize_volume(server.id, volume.volume_id, 2 << 30)
    wait_for(lambda: driver.detach_volume(server.id, volume.volume_id), 30, "the guest to let go of a SCSI disk")
    driver.destroy(server.id)


def test_as_many_volumes_as_the_driver_says_can_be_attached_live(
        driver: LibvirtDriver, tiny: virt.Guest, make_volume: MakeVolume) -> None:
    first = dataclasses.replace(make_volume(), target="vdb")
    driver.create(dataclasses.replace(tiny, volumes=(first,)))
    limit = driver.max_volumes
    for letter in "cdefghijklmnopqrstuvwxy"[:limit - 1]:
        driver.attach_volume(tiny.server.id, dataclasses.replace(make_volume(), target=f"vd{letter}"))
    assert len(driver.list_volumes()[tiny.server.id]) == limit
    driver.destroy(tiny.server.id)


@pytest.mark.parametrize("model", ["e1000", "e1000e", "rtl8139", "virtio"])
def test_every_accepted_network_card_starts(driver: LibvirtDriver, make_guest: MakeGuest, model: str,
                                            bridge: str) -> None:
    guest = make_guest()
    server = dataclasses.replace(guest.server, image_properties={"hw_vif_model": model})
    nic = virt.Nic("p1", "fa:16:3e:00:00:01", bridge, "htptest", 1400)
    driver.create(dataclasses.replace(guest, server=server, nics=(nic,)))
    assert driver.get_power_state(server.id) == virt.RUNNING
    driver.destroy(server.id)


@pytest.mark.parametrize("model", ["vga", "virtio", "cirrus", "none"])
def test_every_accepted_video_card_starts(driver: LibvirtDriver, make_guest: MakeGuest, model: str) -> None:
    guest = make_guest()
    server = dataclasses.replace(guest.server, image_properties={"hw_video_model": model})
    driver.create(dataclasses.replace(guest, server=server))
    assert driver.get_power_state(server.id) == virt.RUNNING
    driver.destroy(server.id)


def _bootable(path: Path, device: str) -> None:
    """Write a boot sector that says so on the serial port; on a CD behind its catalogue."""
    if device == "disk":
        path.write_bytes(probe.probe_image())
        return
    content = path.with_name("cd")
    content.mkdir(exist_ok=True)
    (content / "sector").write_bytes(probe.probe_image()[:2048])
    subprocess.run(["genisoimage", "-quiet", "-b", "sector", "-no-emul-boot", "-boot-load-size", "4", "-o", str(path),
                    str(content)], check=True, capture_output=True)


@pytest.mark.contract("Z-BOOTORDER", "Z-ISO")
def test_a_guest_boots_from_the_iso_in_its_drive_when_its_user_says_so(
        driver: LibvirtDriver, make_guest: MakeGuest, directory: Path) -> None:
    guest, disc = make_guest(), directory / "disc.iso"
    _bootable(disc, "cdrom")
    first = dataclasses.replace(guest, iso=disc, server=dataclasses.replace(guest.server, boot_order=("cdrom", "disk")))
    driver.create(first)
    wait_for(lambda: probe.MARKER in guest.console_log.read_bytes(), BOOT_S, "boot from the ISO")
    driver.destroy(guest.server.id)


@pytest.mark.contract("Z-CPUMODE", "N-MIGRATE")
def test_a_guest_whose_processor_a_host_lacks_is_refused_with_the_features(
        driver: LibvirtDriver, make_guest: MakeGuest) -> None:
    guest = make_guest()
    cpu = "<cpu mode='custom' match='exact'><model>{}</model>{}</cpu>"
    driver.prepare_migration(guest, Origin(cpu.format("qemu64", "")), copied=(), on_base=False)
    for model, feature in (("Skylake-Server", ""), ("Nehalem", "<feature policy='require' name='avx512f'/>")):
        with pytest.raises(errors.AgentError, match="does not have the guest's processor: it lacks .*avx512f"):
            driver.prepare_migration(guest, Origin(cpu.format(model, feature)), copied=(), on_base=False)


@pytest.mark.contract("N-RESCUE")
@pytest.mark.parametrize(("device", "bus"), [(device, bus) for device, buses in rescue_device.BUSES.items()
                                             for bus in buses])
def test_a_rescue_disk_is_booted_on_every_accepted_bus(driver: LibvirtDriver, make_guest: MakeGuest, layout: Layout,
                                                       device: str, bus: str) -> None:
    guest = make_guest()
    rescue = RescueSpec(device=device, bus=bus)
    path = layout.disk(guest.server.id, "disk.rescue")
    _bootable(path, device)
    disk = dataclasses.replace(diskfile.rescue_disk(path, rescue), format="raw")
    driver.create(dataclasses.replace(guest, server=dataclasses.replace(guest.server, rescue=rescue),
                                      disks=(*guest.disks, disk)))
    wait_for(lambda: probe.MARKER in guest.console_log.read_bytes(), BOOT_S, "boot from the rescue disk")
    driver.destroy(guest.server.id)


def test_a_guest_boots_from_a_volume_and_has_no_other_disk(
        driver: LibvirtDriver, layout: Layout, image: ImageSpec, directory: Path) -> None:
    path = directory / "boot.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(image.path), str(path)], check=True)
    volume = AttachedSpec(attachment_id=ids.new_id(), volume_id=ids.new_id(), size_gib=1, boot_index=0,
                          connection=ConnectionSpec(protocol="file", format="qcow2"))
    server = ServerSpec(id=ids.new_id(), name="bfv", hostname="bfv", project_id="p", user_id="u", vcpus=1, ram_mib=128,
                        root_gib=1, volumes=(volume,))
    layout.server(server.id).mkdir(parents=True)
    disks = diskfile.DiskFiles(layout).ensure(server, None)
    assert disks == ()
    log = layout.console_log(server.id)
    driver.create(virt.Guest(server, disks, (), log, (virt.VolumeDisk(
        volume.volume_id, "vda", virt.FileSource(path), "qcow2", "writeback", boot_index=0),)))
    wait_for(lambda: log.exists() and "ready" in log.read_text(errors="replace"), BOOT_S, "boot from the volume")
    driver.destroy(server.id)


def test_other_agents_guests_are_left_alone(driver: LibvirtDriver, make_guest: MakeGuest, uri: str,
                                            layout: Layout) -> None:
    guest = make_guest()
    driver.create(guest)
    stranger = new_driver(uri, layout, "host2")
    try:
        assert stranger.list_servers() == {}
        for act in (stranger.destroy, stranger.power_off, stranger.shutdown):
            with pytest.raises(errors.AgentError):
                act(guest.server.id)
        assert driver.get_power_state(guest.server.id) == virt.RUNNING
    finally:
        stranger.close()


def test_a_killed_guest_is_told_as_crashed(driver: LibvirtDriver, make_guest: MakeGuest, directory: Path) -> None:
    seen: list[virt.Event] = []
    driver.set_event_listener(seen.append, lambda: None)
    guest = make_guest()
    driver.create(guest)
    os.kill(int((directory / "d/run/qemu" / f"{domainxml.domain_name(guest.server.id)}.pid").read_text()),
            signal.SIGKILL)
    wait_for(lambda: "crashed" in [event.kind for event in seen], 10, "event")
    assert driver.get_power_state(guest.server.id) == virt.CRASHED


def test_a_hung_daemon_hangs_nobody(uri: str, layout: Layout, directory: Path) -> None:
    driver = new_driver(uri, layout, timeout_s=2)
    daemon = int((directory / "d/libvirtd.pid").read_text())
    os.kill(daemon, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(errors.Unavailable):
            driver.get_host_info()
        assert time.monotonic() - started < 8
    finally:
        os.kill(daemon, signal.SIGCONT)
    wait_for(lambda: _answers(driver), 30, "daemon after its pause")
    driver.close()


def test_a_restarted_daemon_is_found_again(driver: LibvirtDriver, make_guest: MakeGuest, directory: Path) -> None:
    resyncs: list[float] = []
    seen: list[virt.Event] = []
    guest = make_guest()
    driver.create(guest)
    driver.set_event_listener(seen.append, lambda: resyncs.append(time.monotonic()))
    daemon = int((directory / "d/libvirtd.pid").read_text())
    os.kill(daemon, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{daemon}").exists() or b"libvirtd" not in _cmdline(daemon), 20, "end")
    (directory / "d/libvirtd.pid").unlink(missing_ok=True)
    subprocess.run(["bash", str(real_parts.SCRIPT), "start", str(directory / "d")], check=True, timeout=60)
    assert driver.get_power_state(guest.server.id) == virt.RUNNING
    assert resyncs
    driver.power_off(guest.server.id)
    wait_for(lambda: "stopped" in [event.kind for event in seen], 10, "event after the restart")


def test_kvm_is_believed_only_when_a_guest_runs(uri: str, layout: Layout) -> None:
    driver = new_driver(uri, layout, virt_type="auto")
    chosen = driver._machine.virt_type
    print("virt_type=auto chose", chosen)
    assert chosen in ("kvm", "qemu")
    started = time.monotonic()
    again = new_driver(uri, layout, virt_type="auto")
    assert time.monotonic() - started < 2, "the answer is kept"
    assert again._machine.virt_type == chosen
    assert driver.list_servers() == {}
    for each in (driver, again):
        each.close()


def _answers(driver: LibvirtDriver) -> bool:
    try:
        driver.get_host_info()
    except errors.Unavailable:
        return False
    return True


def _cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


