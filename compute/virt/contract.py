"""The tests every driver passes, shipped so that third-party drivers can run them, too.

A test module derives a class from `DriverContract` and offers four fixtures: `driver` (opened), `make_guest`, which
returns a `Guest` that can be created, a fresh one per call, `make_volume`, which returns a fresh volume of 1 GiB as
disk vdb that this driver's guests can have, and `make_nic`, which returns a fresh NIC for them. pytest does the rest;
`settle_s` is how long a real hypervisor may take to tell of an event.
"""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable

from compute.virt import driver as virt
from hostler import errors, ids
from hostler.resources.server.hardware import Freeze

MakeGuest = Callable[[], virt.Guest]
MakeVolume = Callable[[], virt.VolumeDisk]
MakeNic = Callable[[], virt.Nic]


class DriverContract:
    """What must hold for every driver; each test leaves nothing behind."""

    settle_s = 1.0

    def test_unknown_guest(self, driver: virt.Driver) -> None:
        """Calls about a guest that is not there do nothing, or say that there is none."""
        stranger = ids.new_id()
        assert driver.get_power_state(stranger) == virt.NOSTATE
        for act in (driver.destroy, driver.power_off, driver.shutdown):
            act(stranger)
        for act in (driver.pause, driver.unpause, driver.suspend, driver.resume):
            _expect(errors.AgentError, lambda act=act: act(stranger))  # type: ignore[misc]
        _expect(errors.NotFound, lambda: driver.get_diagnostics(stranger))

    def test_create_and_destroy_may_be_repeated(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """A second create leaves the running guest alone, a second destroy finds nothing."""
        guest = make_guest()
        for _ in range(2):
            driver.create(guest)
            assert driver.get_power_state(guest.server.id) == virt.RUNNING
        assert driver.list_servers() == {guest.server.id: virt.RUNNING}
        for _ in range(2):
            driver.destroy(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.NOSTATE
        assert driver.list_servers() == {}

    def test_power_off_keeps_the_guest(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Off is a state of a guest that is still there, and create starts it again."""
        guest = make_guest()
        driver.create(guest)
        for _ in range(2):
            driver.power_off(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.SHUTDOWN
        driver.shutdown(guest.server.id)
        driver.create(guest)
        assert driver.get_power_state(guest.server.id) == virt.RUNNING
        driver.destroy(guest.server.id)

    def test_a_definition_can_be_put_back(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Another definition takes its place and goes again; a running guest is left alone."""
        guest = make_guest()
        server_id = guest.server.id
        assert driver.definition_of(server_id) is None
        driver.create(guest)
        before = driver.definition_of(server_id)
        assert before is not None
        driver.restore(server_id, before, start=True)
        assert driver.get_power_state(server_id) == virt.RUNNING
        driver.power_off(server_id)
        moved = dataclasses.replace(guest.disks[0], target="vdb")
        driver.create(dataclasses.replace(guest, disks=(guest.disks[0], moved)[1:]))
        driver.power_off(server_id)
        for start, state in ((False, virt.SHUTDOWN), (False, virt.SHUTDOWN), (True, virt.RUNNING)):
            driver.restore(server_id, before, start=start)
            assert driver.get_power_state(server_id) == state
        assert driver.definition_of(server_id) is not None
        driver.destroy(server_id)
        driver.restore(server_id, before, start=True)
        assert driver.list_servers() == {server_id: virt.RUNNING}
        driver.destroy(server_id)

    def test_pause_and_unpause(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Frozen and back, each twice; create does not thaw; impossible when off."""
        guest = make_guest()
        driver.create(guest)
        for _ in range(2):
            driver.pause(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.PAUSED
        driver.create(guest)
        assert driver.get_power_state(guest.server.id) == virt.PAUSED
        for _ in range(2):
            driver.unpause(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.RUNNING
        driver.power_off(guest.server.id)
        _expect(errors.AgentError, lambda: driver.pause(guest.server.id))
        driver.destroy(guest.server.id)

    def test_suspend_and_resume(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Saved and back, each twice; what is off cannot be resumed; only power_off drops the saved state."""
        guest = make_guest()
        driver.create(guest)
        for _ in range(2):
            driver.suspend(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.SUSPENDED
        for _ in range(2):
            driver.resume(guest.server.id)
            assert driver.get_power_state(guest.server.id) == virt.RUNNING
        driver.suspend(guest.server.id)
        driver.cut_power(guest.server.id)
        assert driver.get_power_state(guest.server.id) == virt.SUSPENDED
        driver.power_off(guest.server.id)
        assert driver.get_power_state(guest.server.id) == virt.SHUTDOWN
        _expect(errors.AgentError, lambda: driver.resume(guest.server.id))
        driver.destroy(guest.server.id)

    def test_events_tell_the_story_in_order(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Each change of state is told; repeats are allowed (libvirt sends them), a wrong order is not."""
        seen: list[virt.Event] = []
        driver.set_event_listener(seen.append, lambda: None)
        guest = make_guest()
        server_id = guest.server.id
        driver.create(guest)
        driver.pause(server_id)
        driver.unpause(server_id)
        driver.power_off(server_id)
        driver.destroy(server_id)
        story = [virt.RUNNING, virt.PAUSED, virt.RUNNING, virt.SHUTDOWN, virt.NOSTATE]
        deadline = time.monotonic() + self.settle_s
        while time.monotonic() < deadline and _story(seen, server_id) != story:
            time.sleep(0.02)
        assert _story(seen, server_id) == story, [event.kind for event in seen]
        assert {"started", "paused", "resumed", "stopped", "removed"} <= {event.kind for event in seen}
        driver.set_event_listener(lambda _: None, lambda: None)

    def test_volumes_come_and_go_while_the_guest_is_off(self, driver: virt.Driver, make_guest: MakeGuest,
                                                        make_volume: MakeVolume) -> None:
        """A definition takes a volume and gives it back at once, each twice; create brings the guest its own."""
        guest, volume = make_guest(), make_volume()
        server_id = guest.server.id
        _expect(errors.AgentError, lambda: driver.attach_volume(server_id, volume))
        assert driver.detach_volume(server_id, volume.volume_id)
        driver.create(guest)
        driver.power_off(server_id)
        for _ in range(2):
            driver.attach_volume(server_id, volume)
            assert driver.list_volumes() == {server_id: [volume.volume_id]}
        assert not driver.resize_volume(server_id, volume.volume_id, 2 << 30)
        for _ in range(2):
            assert driver.detach_volume(server_id, volume.volume_id)
            assert driver.list_volumes() == {server_id: []}
        driver.create(dataclasses.replace(guest, volumes=(volume,)))
        assert driver.list_volumes() == {server_id: [volume.volume_id]}
        driver.destroy(server_id)
        assert driver.list_volumes() == {}

    def test_a_running_guest_gets_a_volume_that_may_grow(self, driver: virt.Driver, make_guest: MakeGuest,
                                                         make_volume: MakeVolume) -> None:
        """Plugged at once and kept over a stop; it grows, and a smaller size is accepted but never shrinks it."""
        guest, volume = make_guest(), make_volume()
        server_id = guest.server.id
        driver.create(guest)
        for _ in range(2):
            driver.attach_volume(server_id, volume)
            assert driver.list_volumes() == {server_id: [volume.volume_id]}
        for size in (2 << 30, 2 << 30, 1 << 30):
            assert driver.resize_volume(server_id, volume.volume_id, size)
        _expect(errors.AgentError, lambda: driver.resize_volume(server_id, ids.new_id(), 2 << 30))
        assert driver.get_diagnostics(server_id)["num_disks"] == len(guest.disks) + 1
        driver.power_off(server_id)
        assert driver.list_volumes() == {server_id: [volume.volume_id]}
        assert driver.detach_volume(server_id, volume.volume_id)
        driver.destroy(server_id)

    def test_nics_come_and_go(self, driver: virt.Driver, make_guest: MakeGuest, make_nic: MakeNic) -> None:
        """A definition takes a NIC and gives it back at once, each twice; a running guest gets one at once, too."""
        guest, nic = make_guest(), make_nic()
        server_id, before = guest.server.id, len(guest.nics)
        _expect(errors.AgentError, lambda: driver.attach_interface(guest.server, nic))
        assert driver.detach_interface(server_id, nic.port_id)
        driver.create(guest)
        for _ in range(2):
            driver.attach_interface(guest.server, nic)
            assert driver.get_diagnostics(server_id)["num_nics"] == before + 1
        driver.power_off(server_id)
        for _ in range(2):
            assert driver.detach_interface(server_id, nic.port_id)
            assert driver.get_diagnostics(server_id)["num_nics"] == before
        for _ in range(2):
            driver.attach_interface(guest.server, nic)
            assert driver.get_diagnostics(server_id)["num_nics"] == before + 1
        driver.destroy(server_id)

    def test_a_medium_is_changed(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """A drive takes an ISO and gives it back, each twice, whether its guest runs or not; one without refuses."""
        guest = make_guest()
        server_id, disc = guest.server.id, guest.disks[0].path.with_name("disc.iso")
        disc.write_bytes(bytes(1 << 20))
        driver.change_medium(server_id, disc)
        driver.create(guest)
        driver.change_medium(server_id, None)
        _expect(errors.AgentError, lambda: driver.change_medium(server_id, disc))
        driver.power_off(server_id)
        driver.change_medium(server_id, disc)
        drive = dataclasses.replace(guest.server, image_properties={"hw_cdrom_bus": "sata"})
        driver.create(dataclasses.replace(guest, server=drive))
        for _ in range(2):
            for medium in (disc, disc, None, None):
                driver.change_medium(server_id, medium)
            driver.power_off(server_id)
        driver.destroy(server_id)

    def test_a_disk_is_copied_while_the_guest_runs(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Again and again; a guest that is off is not copied here."""
        guest = make_guest()
        server_id, disk = guest.server.id, guest.disks[0].path
        copy, seen = disk.with_name("copy"), list[int]()
        assert not driver.copy_disk(server_id, disk, copy, seen.append, freeze=Freeze.NO)
        driver.create(guest)
        for _ in range(2):
            assert driver.copy_disk(server_id, disk, copy, seen.append, freeze=Freeze.TRY)
            assert copy.stat().st_size and driver.get_power_state(server_id) == virt.RUNNING
            driver.end_copy(server_id)
            copy.unlink()
        driver.pause(server_id)
        assert driver.copy_disk(server_id, disk, copy, seen.append, freeze=Freeze.NO)
        copy.unlink()
        driver.power_off(server_id)
        assert not driver.copy_disk(server_id, disk, copy, seen.append, freeze=Freeze.NO)
        assert all(0 <= percent <= 100 for percent in seen)
        driver.destroy(server_id)
        driver.end_copy(server_id)

    def test_consoles(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """A guest that runs has a screen that greets and a serial port, again and again; one that is off has none."""
        guest = make_guest()
        server_id = guest.server.id
        _expect(errors.NotFound, lambda: driver.list_consoles(server_id))
        _expect(errors.NotFound, lambda: driver.open_console(server_id, "vnc"))
        driver.create(guest)
        assert {"vnc", "serial"} <= driver.list_consoles(server_id) <= {"vnc", "spice", "serial"}
        for _ in range(2):
            with driver.open_console(server_id, "vnc") as screen:
                screen.settimeout(self.settle_s + 10)
                assert screen.recv(4, socket.MSG_WAITALL) == b"RFB "
            with driver.open_console(server_id, "serial") as port:
                port.sendall(b"\r")
        _expect(errors.AgentError, lambda: driver.open_console(server_id, "telex"))
        driver.power_off(server_id)
        assert driver.list_consoles(server_id) == frozenset()
        _expect(errors.AgentError, lambda: driver.open_console(server_id, "serial"))
        driver.destroy(server_id)

    def test_diagnostics_and_host_info(self, driver: virt.Driver, make_guest: MakeGuest) -> None:
        """Counters of a running guest, and a host with processors and memory."""
        guest = make_guest()
        driver.create(guest)
        found = driver.get_diagnostics(guest.server.id)
        assert found["state"] == virt.RUNNING and found["num_disks"] == len(guest.disks)
        host = driver.get_host_info()
        assert host.vcpus > 0 and host.ram_mib > 0 and host.hypervisor_version > 0 and host.running_servers == 1
        driver.destroy(guest.server.id)


def _story(seen: list[virt.Event], server_id: str) -> list[str]:
    states: list[str] = []
    for event in seen:
        if event.server_id == server_id and states[-1:] != [event.power_state]:
            states.append(event.power_state)
    return states


def _expect(error: type[errors.HostlerError], act: Callable[[], object]) -> None:
    try:
        act()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")
