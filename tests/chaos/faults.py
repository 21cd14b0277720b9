"""What can go wrong, one function per fault: it does the damage, waits, and undoes it.

Each fault is given the cloud and a random generator of its own, so that a seed repeats the campaign's choices (not
its timing). Faults run one after the other, changes to the cloud go on beside them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Final

import requests
import sqlalchemy as sa

from tests.chaos.cloud import ChaosCloud, kill, stopped
from tests.chaos.verbs import COMPUTE
from tests.harness.ports import wait_for


@dataclasses.dataclass(frozen=True)
class Fault:
    """A kind of fault. `weight` is how often it is chosen against the others; `hurts_hosts` says that operations may
    fail for good, with a cause, while it lasts (a full disk fails honestly)."""

    name: str
    inflict: Callable[[ChaosCloud, random.Random], None]
    weight: int
    hurts_hosts: bool = False


def _kill_service(cloud: ChaosCloud, rng: random.Random) -> None:
    """kill -9 of one process; its supervisor starts it again."""
    kill(cloud.pids(rng.choice(cloud.victims)))


def _kill_twins(cloud: ChaosCloud, rng: random.Random) -> None:
    """kill -9 of both processes of a control service at once."""
    service = rng.choice(cloud.fleet.control)
    for name in (service, f"{service}2"):
        kill(cloud.pids(name))


def _pause_service(cloud: ChaosCloud, rng: random.Random) -> None:
    """SIGSTOP of one process, often for longer than its lease and than others wait for it."""
    with stopped(cloud.pids(rng.choice(cloud.victims))):
        time.sleep(rng.choice((0.3, 1, 4, 6)))


def _pause_and_kill(cloud: ChaosCloud, rng: random.Random) -> None:
    """SIGSTOP of a conductor past its lease while an agent dies."""
    with stopped(cloud.pids(rng.choice(("conductor", "conductor2")))):
        kill(cloud.pids(rng.choice([*cloud.fleet.hosts, *cloud.fleet.nodes])))
        time.sleep(4)


def _restart_broker(cloud: ChaosCloud, rng: random.Random) -> None:
    """The broker dies and comes back with its data."""
    cloud.fleet.broker.stop()
    time.sleep(rng.choice((0, 3)))
    cloud.fleet.broker.start()


def _freeze_broker(cloud: ChaosCloud, rng: random.Random) -> None:
    """The broker takes connections and answers nothing."""
    with stopped(cloud.fleet.broker.pids()):
        time.sleep(rng.choice((1, 3, 6)))


def _restart_database(cloud: ChaosCloud, rng: random.Random) -> None:
    """The database dies and comes back, at once or after seconds."""
    cloud.database_server.crash()
    time.sleep(rng.choice((0, 0, 3, 6)))
    cloud.database_server.resume()


def _freeze_database(cloud: ChaosCloud, rng: random.Random) -> None:
    """The database takes connections and answers nothing."""
    with stopped(cloud.database_server.pids()):
        time.sleep(rng.choice((1, 3, 6)))


def _hold_rows(cloud: ChaosCloud, rng: random.Random) -> None:
    """A forgotten transaction holds rows that every service needs."""
    table = rng.choice(("projects", "hosts", "operations", "networks"))
    with cloud.db.engine.connect() as connection:
        connection.execute(sa.text(f"SELECT id FROM {table} ORDER BY id LIMIT 5 FOR UPDATE")).all()
        time.sleep(rng.choice((0.5, 3)))
        connection.rollback()


def _spoil_state(cloud: ChaosCloud, rng: random.Random) -> None:
    """An agent's log of attempts ends in random bytes, as after a power cut; the agent starts again."""
    name = rng.choice([*cloud.fleet.hosts, *cloud.fleet.nodes])
    kill(cloud.pids(name))
    for path in cloud.state_path(name).glob("*/attempts.log"):
        with path.open("ab") as stream:
            stream.write(rng.choice((b"\xff\xfe\x00half", b'{"operation', b"\0" * 64)))


def _fill_disk(cloud: ChaosCloud, rng: random.Random) -> None:
    """An agent's state directory has no room left."""
    name = rng.choice([*cloud.fleet.hosts, *cloud.fleet.nodes])
    filler = cloud.state_path(name) / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as stream:
        while True:
            stream.write(b"\0" * 65536)
            stream.flush()
    time.sleep(rng.choice((1, 3)))
    filler.unlink(missing_ok=True)


def _lose_host(cloud: ChaosCloud, rng: random.Random) -> None:
    """A host hangs, an administrator forces it down and evacuates it, and it comes back nevertheless."""
    host = rng.choice(cloud.fleet.hosts)
    client = cloud.client(0)
    path = f"{COMPUTE}/os-services"
    [service] = client.get(f"{path}?binary=nova-compute&host={host}").json()["services"]
    with _returning(cloud, f"{path}/{service['id']}"), stopped(cloud.pids(host)):
        client.request("PUT", f"{path}/{service['id']}", json={"forced_down": True})
        for server in client.get(f"{COMPUTE}/servers/detail?host={host}").json()["servers"]:
            client.post(f"{COMPUTE}/servers/{server['id']}/action", {"evacuate": {}})
        time.sleep(rng.choice((1, 5, 10)))


@contextlib.contextmanager
def _returning(cloud: ChaosCloud, path: str) -> Iterator[None]:
    """Take a host back into service at the end, however often that has to be asked for."""
    def take_back() -> bool:
        try:
            return bool(cloud.client(0).request("PUT", path, json={"forced_down": False}).ok)
        except requests.RequestException:
            return False

    try:
        yield
    finally:
        wait_for(take_back, "the host's return to service", 120, 1)


def _shift_clock(cloud: ChaosCloud, rng: random.Random) -> None:
    """The second conductor's clock jumps, ten minutes ahead or behind, and later back."""
    cloud.clock_shift.write_text(rng.choice(("600", "-600", "45", "-45")))
    time.sleep(rng.choice((2, 5)))
    cloud.clock_shift.write_text("0")


FAULTS: Final = (
    Fault("kill a service", _kill_service, 30),
    Fault("kill both of a service", _kill_twins, 6),
    Fault("pause a service", _pause_service, 20),
    Fault("pause a conductor, kill an agent", _pause_and_kill, 5),
    Fault("restart the broker", _restart_broker, 4),
    Fault("freeze the broker", _freeze_broker, 6),
    Fault("restart the database", _restart_database, 8),
    Fault("freeze the database", _freeze_database, 6),
    Fault("hold rows in a forgotten transaction", _hold_rows, 6),
    Fault("spoil an agent's state", _spoil_state, 5),
    Fault("fill an agent's disk", _fill_disk, 4, hurts_hosts=True),
    Fault("lose a host and evacuate it", _lose_host, 6, hurts_hosts=True),
    Fault("shift a conductor's clock", _shift_clock, 4),
)


def missing(fault: Fault, cloud: ChaosCloud) -> str | None:
    """Return why this machine cannot have a fault, or None."""
    if fault.inflict is _fill_disk and not os.path.ismount(cloud.state_path(cloud.fleet.hosts[0])):
        return "agents' state is on no file system of its own (needs root)"
    return None


def mount_state(cloud: ChaosCloud) -> None:
    """Give each agent's state a small file system of its own, where this process may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return
    for name in (*cloud.fleet.hosts, *cloud.fleet.nodes):
        path = cloud.state_path(name)
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "hostler-chaos", str(path)], check=False,
                       stderr=subprocess.DEVNULL)
    for name in cloud.fleet.hosts:
        # Fake hypervisors hand a guest over by a rename, so their files are on one file system, as if in the network.
        guests, link = cloud.directory / f"{name}.guests", cloud.state_path(name) / "compute" / "fake"
        guests.mkdir()
        link.parent.mkdir()
        link.symlink_to(guests)


def unmount_state(cloud: ChaosCloud) -> None:
    """Unmount those file systems."""
    for name in (*cloud.fleet.hosts, *cloud.fleet.nodes):
        if os.path.ismount(cloud.state_path(name)):
            subprocess.run(["umount", "-l", str(cloud.state_path(name))], check=False)
