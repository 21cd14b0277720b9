"""The smallest content that passes for an ISO image, and the drives of guests that run from one."""

from __future__ import annotations

import struct

from lxml import etree

from tests.harness.real_guests import Guest
from tests.harness.realfleet import RealFleet

_VOLUME = 0x8000  # where the volume descriptor of ISO 9660 is


def iso_disc() -> bytes:
    """Return a disc of 1 MiB with nothing on it."""
    data = bytearray(1 << 20)
    data[_VOLUME:_VOLUME + 6] = b"\x01CD001"
    data[_VOLUME + 80:_VOLUME + 84] = struct.pack("<I", 512)  # blocks
    data[_VOLUME + 128:_VOLUME + 130] = struct.pack("<H", 2048)  # bytes each
    return bytes(data)


def run_from_disc(cloud: RealFleet, guest: Guest) -> None:
    """Have a guest run from a disc that is an image by the name `disc`."""
    file = guest.world.directory / "disc.iso"
    file.write_bytes(iso_disc())
    cloud.openstack("image", "create", "disc", "--disk-format", "iso", "--container-format", "bare",
                    "--file", str(file))
    guest.take(cloud.openstack_json("--os-compute-api-version", "2.74", "server", "create", "disc", "--image", "disc",
                                    "--flavor", "tiny", "--host", guest.host.name)["id"])


def drives_of(guest: Guest) -> list[dict[str, str]]:
    """Return where a real guest's CD drives are in it."""
    return [dict(target.attrib) for target in etree.fromstring(guest.virsh("dumpxml")).findall(
        "devices/disk[@device='cdrom']/target")]
