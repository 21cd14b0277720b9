"""A server that does not boot any more is put right from a rescue disk that leaves its own disks in their places.

The tests run in their order and share one server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from tests.harness import real_parts
from tests.harness.real_guests import Guest
from tests.harness.real_world import World

# The code of a boot sector, without the partition table behind it.
_BOOT_CODE = "bs=440 count=1 conv=notrunc"
_S = 200  # to switch a guest off and another one on, on a busy machine


@dataclasses.dataclass
class Patient:
    """The server, and its definition from before."""

    world: World
    guest: Guest
    definition: str


@pytest.fixture(scope="module")
def patient(world: World) -> Iterator[Patient]:
    """Take the server and upload the image that it is rescued with."""
    world.cloud.openstack("image", "create", "medic", "--disk-format", "qcow2", "--container-format", "bare",
                          "--property", "hw_rescue_device=disk", "--property", "hw_rescue_bus=virtio", "--file",
                          str(real_parts.tiny_image().path))
    one = world.running("one")
    yield Patient(world, one, one.virsh("dumpxml", "--inactive"))
    world.cloud.openstack("image", "delete", "medic")


@pytest.mark.contract("N-RESCUE", "N-CLI")
def test_a_server_that_has_nothing_to_boot_runs_from_a_disk_behind_its_own(patient: Patient) -> None:
    one, world = patient.guest, patient.world
    broken = one.ssh(f"echo mine > /persist/mine && dd if=/dev/zero of=/dev/vda {_BOOT_CODE} && sync")
    assert broken.returncode == 0, broken.stderr
    world.cloud.openstack("server", "rescue", "--image", "medic", "one")
    world.client.wait_server(one.id, "RESCUE", timeout_s=_S)
    assert "vdaa" in one.virsh("domblklist")
    one.wait_ssh()
    # The first disk is still the first, by its name and by its place on the bus.
    assert one.ssh("cat /persist/mine").stdout == "mine\n"
    repaired = one.ssh(f"dd if=/dev/$(ls /sys/block | grep ^vd | tail -n 1) of=/dev/vda {_BOOT_CODE} && sync")
    assert repaired.returncode == 0, repaired.stderr


@pytest.mark.contract("N-RESCUE", "N-CLI")
def test_and_boots_by_itself_again(patient: Patient) -> None:
    one, world = patient.guest, patient.world
    world.cloud.openstack("server", "unrescue", "one")
    world.client.wait_server(one.id, "ACTIVE", timeout_s=_S)
    assert one.virsh("dumpxml", "--inactive") == patient.definition
    one.wait_ssh()
    assert one.ssh("cat /persist/mine").stdout == "mine\n"
    files = world.cloud.state(one.host) / "servers" / one.id
    assert {path.name for path in files.iterdir()} & {"disk.rescue", "unrescue.xml"} == set()
