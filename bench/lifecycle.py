"""What the verbs of a server's life cost beside its create: `python bench/lifecycle.py [--cloud NAME] [--count N]`.

Fake hosts, 16 clients, one verb after the other on the same servers, each from the first request until the last server
is at rest. `against_create` is a verb's processor time an operation divided by the create's of the same run: what holds
on any machine. No verb should cost more than twice a create.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import measure

measure.use_checkout()

import clouds  # noqa: E402

CLIENTS: Final = 16
SERVERS: Final = "/compute/v2.1/servers"
_LIVE: Final = {"OpenStack-API-Version": "compute 2.68"}


@dataclasses.dataclass(frozen=True)
class Verb:
    """An action on every server."""

    name: str
    action: Callable[[int], dict[str, Any]]
    ends_as: str = "ACTIVE"
    version: dict[str, str] | None = None


def verbs(image: str, large: str) -> list[Verb]:
    """Return the verbs in an order in which each finds the servers as it needs them."""
    return [
        Verb("snapshot", lambda number: {"createImage": {"name": f"bench-{number}"}}),
        Verb("rebuild", lambda _: {"rebuild": {"imageRef": image}}),
        Verb("live_migrate", lambda _: {"os-migrateLive": {"host": None, "block_migration": "auto"}}, version=_LIVE),
        Verb("migrate", lambda _: {"migrate": None}, ends_as="VERIFY_RESIZE"),
        Verb("confirm_migrate", lambda _: {"confirmResize": None}),
        Verb("resize", lambda _: {"resize": {"flavorRef": large}}, ends_as="VERIFY_RESIZE"),
        Verb("confirm_resize", lambda _: {"confirmResize": None}),
    ]


def make_large_flavor(cloud: clouds.Measured) -> str:
    """Return the id of a flavor to resize to."""
    answer = cloud.client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "bench-large", "vcpus": 2, "ram": 128, "disk": 2}})
    answer.raise_for_status()
    return str(answer.json()["flavor"]["id"])


def spend(cloud: clouds.Measured, name: str, count: int, work: Callable[[int], None],
          create_ms: float | None = None) -> float:
    """Measure one verb on `count` servers; returns its processor milliseconds an operation."""
    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(work, count, CLIENTS)
        cloud.settle()
    cpu_ms = spent.cpu_s / count * 1000
    more = {"against_create": cpu_ms / create_ms} if create_ms is not None else {}
    measure.rate(f"{name}/{cloud.name}/{CLIENTS}_clients", count, spent, latencies, **more)
    return cpu_ms


def live(cloud: clouds.Measured, image: str, large: str, count: int) -> None:
    """Lead `count` servers through all verbs, from create to delete."""
    made: list[str] = []
    create_ms = spend(cloud, "create", count, lambda number: made.append(
        cloud.own_client().create_server(image, f"bench-{number}")))
    for verb in verbs(image, large):
        def act(number: int, verb: Verb = verb) -> None:
            answer = cloud.own_client().post(f"{SERVERS}/{made[number]}/action", verb.action(number),
                                             headers=verb.version)
            assert answer.status_code in (202, 204), answer.text

        spend(cloud, verb.name, count, act, create_ms)
        states = {server["status"] for server in cloud.client.get(f"{SERVERS}/detail").json()["servers"]}
        assert states == {verb.ends_as}, (verb.name, states)
    spend(cloud, "delete", count, lambda number: cloud.own_client().delete(f"{SERVERS}/{made[number]}") and None,
          create_ms)


def run(name: str, count: int) -> None:
    """Measure one cloud."""
    with clouds.CLOUDS[name]() as cloud:
        image, large = cloud.client.make_image(), make_large_flavor(cloud)
        # Logs the clients in and fills caches; its figures are printed, too, the next ones count.
        live(cloud, image, large, CLIENTS)
        live(cloud, image, large, count)
        cloud.database.dispose()


if __name__ == "__main__":
    clouds.measure_each(__doc__, run)
