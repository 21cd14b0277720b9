"""ISO images on fake hosts: a server that boots from one, and one in the drive of another; what users choose of their
servers' hardware."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.core.server import hardware, isos
from hostler import errors
from hostler.agent.faults import Order
from hostler.context import RequestContext
from tests.harness.client import Client
from tests.harness.discs import iso_disc
from tests.harness.inprocess import Cloud

_SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def iso(running: tuple[Cloud, Client]) -> str:
    return running[1].make_image("disc", iso_disc(), "iso")


@pytest.fixture
def server_id(client: Client) -> Iterator[str]:
    image = client.make_image("with-drive")
    client.request("PATCH", f"/image/v2/images/{image}", json=[
        {"op": "add", "path": "/hw_cdrom_bus", "value": "sata"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
    made = client.create_server(image, "guest")
    client.wait_server(made, "ACTIVE")
    yield made
    client.delete(f"{_SERVERS}/{made}")
    client.wait_gone(made)


class Drive:
    """The drive of one server."""

    def __init__(self, cloud: Cloud, client: Client, server_id: str) -> None:
        self.cloud, self.client, self.server_id = cloud, client, server_id
        self.context = RequestContext(user_id="u", project_id=client.project_id, roles=["admin"],
                                      is_admin=True)

    def attach(self, image_id: str) -> None:
        """Put an ISO in."""
        isos.attach(self.cloud.api.services, self.context, self.server_id, image_id)

    def detach(self) -> None:
        """Empty it."""
        isos.detach(self.cloud.api.services, self.context, self.server_id)

    def holds(self) -> str:
        """Return the checksum of what is in it."""
        host = (self.client.show(self.server_id) or {})["OS-EXT-SRV-ATTR:host"]
        return str(self.cloud.agents[host].tools.driver.domains[self.server_id].iso)

    def act(self, status: str, **body: Any) -> None:
        """Do an action that leads to a status."""
        assert self.client.post(f"{_SERVERS}/{self.server_id}/action", body).status_code == 202
        self.client.wait_server(self.server_id, status)


@pytest.fixture
def drive(cloud: Cloud, client: Client, server_id: str) -> Drive:
    return Drive(cloud, client, server_id)


@pytest.mark.contract("Z-ISO")
def test_an_iso_goes_in_stays_over_starts_and_comes_out(drive: Drive, client: Client, iso: str) -> None:
    checksum = client.get(f"/image/v2/images/{iso}").json()["os_hash_value"]
    drive.attach(iso)
    held = drive.holds()
    assert held and len(held) <= len(checksum)
    with pytest.raises(errors.Conflict, match=f"has image {iso} in its CD-ROM drive"):
        drive.attach(iso)
    drive.act("SHUTOFF", **{"os-stop": None})
    drive.act("ACTIVE", **{"os-start": None})
    assert drive.holds() == held
    drive.detach()
    assert drive.holds() == ""
    with pytest.raises(errors.Conflict, match="has nothing in its CD-ROM drive"):
        drive.detach()
    drive.act("SHUTOFF", **{"os-stop": None})
    drive.attach(iso)
    drive.act("ACTIVE", **{"os-start": None})
    assert drive.holds() == held
    actions = client.get(f"{_SERVERS}/{drive.server_id}/os-instance-actions").json()["instanceActions"]
    assert [row["action"] for row in actions][:3] == ["start", "attach_iso", "stop"]


def test_what_cannot_be_is_refused(drive: Drive, cloud: Cloud, client: Client, image: str, iso: str) -> None:
    with pytest.raises(errors.Invalid, match="is not an ISO"):
        drive.attach(image)
    with pytest.raises(errors.Invalid, match="Can not find"):
        drive.attach("gone")
    host = (client.show(drive.server_id) or {})["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host].tools.driver.faults.order(Order(step="attach_iso.end", action="fail", reason="no"))
    with pytest.raises(errors.Conflict, match="no"):
        drive.attach(iso)
    assert drive.holds() == ""
    drive.attach(iso)
    cloud.agents[host].tools.driver.faults.order(
        Order(step="driver.change_medium:before", action="fail", reason="locked"))
    with pytest.raises(errors.Conflict, match="locked"):
        drive.detach()
    assert drive.holds()
    drive.act("SUSPENDED", suspend=None)
    with pytest.raises(errors.InvalidState):
        drive.detach()


@pytest.mark.contract("Z-ISO")
def test_a_server_boots_from_an_iso(client: Client, iso: str) -> None:
    made = client.create_server(iso, "installer")
    client.wait_server(made, "ACTIVE")
    client.delete(f"{_SERVERS}/{made}")
    client.wait_gone(made)


@pytest.mark.contract("Z-BOOTORDER", "Z-CPUMODE")
def test_boot_order_and_cpu_mode_reach_the_guest_with_its_next_start(drive: Drive, cloud: Cloud, client: Client
                                                                     ) -> None:
    services, host = cloud.api.services, (client.show(drive.server_id) or {})["OS-EXT-SRV-ATTR:host"]

    def built() -> tuple[list[str], str | None]:
        spec = json.loads((cloud.directory / host / "compute" / "servers" / drive.server_id / "spec.json").read_bytes())
        return spec["boot_order"], spec["cpu_mode"]

    hardware.set_boot_order(services, drive.context, drive.server_id, ["cdrom", "disk"])
    hardware.set_cpu_mode(services, drive.context, drive.server_id, "host-passthrough")
    drive.act("ACTIVE", reboot={"type": "HARD"})
    assert built() == (["cdrom", "disk"], "host-passthrough")
    hardware.set_boot_order(services, drive.context, drive.server_id, [])
    hardware.set_cpu_mode(services, drive.context, drive.server_id, None)
    drive.act("ACTIVE", reboot={"type": "HARD"})
    assert built() == ([], None)
    for order in (["disk", "disk"], ["floppy"]):
        with pytest.raises(errors.InvalidField):
            hardware.set_boot_order(services, drive.context, drive.server_id, order)
    with pytest.raises(errors.InvalidField):
        hardware.set_cpu_mode(services, drive.context, drive.server_id, "486")
    actions = client.get(f"{_SERVERS}/{drive.server_id}/os-instance-actions").json()["instanceActions"]
    assert {"set_boot_order", "set_cpu_mode"} <= {row["action"] for row in actions}
