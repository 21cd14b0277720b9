"""A real guest's creation beside the same done by hand: `python bench/real_boot.py [--times N] [--against COMMIT]`.

A host with libvirtd and QEMU in a namespace of this machine. By hand means: an overlay of the same image made with
qemu-img, and the same domain defined and started by libvirt, with its network card on a bridge that is there. Ours
counts from the request until the records, which the API shows, say that the server is active; they are read in the
database, as in `live_migration.py`. Both in turns; the image is on the host. Needs root.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Final

import live_migration
import measure

measure.use_checkout()

from hostler.resources.server import states  # noqa: E402
from tests.harness.ports import wait_for  # noqa: E402

_HEADERS: Final = {"OpenStack-API-Version": "compute 2.74"}


class ByHand(live_migration.ByHand):
    """The copy, made again each time."""

    def create(self) -> float:
        """Make and start it, and remove it again; returns the seconds until it ran."""
        with live_migration.connected(self._hosts[0].uri) as conn:
            started = time.monotonic()
            self._make_disk(0)
            domain = conn.defineXML(self._definition(0))
            domain.create()
            took_s = time.monotonic() - started
            domain.destroy()
            domain.undefine()
        self._disk(0).unlink()
        return took_s


def create(world: live_migration.World, look: live_migration.Look, image: str, flavor: str) -> float:
    """Make a server and delete it again; returns the seconds until it was active."""
    client, started = world.client, time.monotonic()
    answer = client.post("/compute/v2.1/servers", {"server": {
        "name": "booted", "imageRef": image, "flavorRef": flavor, "networks": "auto", "key_name": "demo",
        "host": world.cloud.hosts[0].name}}, headers=_HEADERS)
    assert answer.status_code == 202, answer.text
    server_id = answer.json()["server"]["id"]
    wait_for(lambda: look.at(server_id) != states.BUILDING, "the guest", 120, every_s=live_migration.LOOK_EVERY_S)
    took_s = time.monotonic() - started
    assert look.at(server_id) == states.ACTIVE, client.show(server_id)
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    return took_s


def compare(world: live_migration.World, times: int) -> None:
    """Make both in turns; prints the figures."""
    image = world.client.get("/image/v2/images?name=tiny").json()["images"][0]["id"]
    flavors = world.client.get("/compute/v2.1/flavors").json()["flavors"]
    flavor = next(row["id"] for row in flavors if row["name"] == "tiny")
    by_hand = ByHand(world)
    look = live_migration.Look(world.records, "SELECT vm_state FROM servers WHERE id = %s")
    create(world, look, image, flavor)  # the host has the network afterwards
    by_hand.create()
    runs = [(create(world, look, image, flavor), by_hand.create()) for _ in range(times)]
    for name, found in zip(("api", "by_hand"), zip(*runs, strict=True), strict=True):
        print(f"seconds {name}: {[round(took_s, 2) for took_s in found]}", file=sys.stderr)
        measure.figure(f"real_boot/{name}", statistics.median(found), "s", count=times)
    measure.figure("real_boot/api_over_by_hand", statistics.median(ours / theirs for ours, theirs in runs), "ratio",
                   count=times)


if __name__ == "__main__":
    live_migration.main(__doc__, compare)
