"""Rounds of changes under faults, each followed by rest and an audit; at the end a table."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections import Counter
from typing import Any

import requests

from tests.chaos import audit, faults
from tests.chaos.cloud import ChaosCloud
from tests.chaos.faults import Fault
from tests.chaos.verbs import COMPUTE, FLAVORS, NETWORK, Actor
from tests.harness.client import Client

REST_S = 150  # until every operation has ended, once nothing is broken any more
REPAIR_S = 40  # until reconciliation has repaired what a fault left


@dataclasses.dataclass
class Plan:
    """What to do: `faults` in all, `per_round` of them before each rest, in `lanes` at a time, `clients` at work."""

    seed: int
    faults: int
    per_round: int = 12
    lanes: int = 2
    clients: int = 4
    kinds: tuple[Fault, ...] = faults.FAULTS


class Campaign:
    """One campaign on one cloud."""

    def __init__(self, cloud: ChaosCloud, plan: Plan) -> None:
        self.cloud = cloud
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.inflicted: Counter[str] = Counter()
        self.violations: list[str] = []
        self.actors: list[Actor] = []
        self._judged: set[str] = set()  # operations whose failure an audit has seen
        self._stop = threading.Event()
        # A broker or database that one fault has stopped is not stopped by another.
        self._one_at_a_time = threading.Lock()

    def run(self) -> None:
        """Do all rounds."""
        self._hire()
        number = 0
        while sum(self.inflicted.values()) < self.plan.faults:
            number += 1
            self._round(number)

    def _hire(self) -> None:
        client = self.cloud.client(0)
        image_id = client.make_image(data=b"\0" * 65536)  # agents' disks are small and keep what they fetched
        groups = client.get(f"{NETWORK}/security-groups?name=default").json()["security_groups"]
        for number, flavor in enumerate(FLAVORS[1:], 2):
            client.post(f"{COMPUTE}/flavors", {"flavor": {
                "name": flavor, "id": flavor, "vcpus": number, "ram": 128, "disk": 1}}).raise_for_status()
        network_id = client.get(f"{NETWORK}/networks?name=default").json()["networks"][0]["id"]
        group_id = next(group["id"] for group in groups if group["project_id"] == client.project_id)
        for number in range(1, self.plan.clients + 1):
            own: Any = self.cloud.client(number)
            own.group_id, own.network_id = group_id, network_id
            self.actors.append(Actor(number, own, random.Random(f"{self.plan.seed}/{number}"), image_id, self._stop))

    def _round(self, number: int) -> None:
        begun = time.monotonic()
        chosen = self._choose(number, min(self.plan.per_round, self.plan.faults - sum(self.inflicted.values())))
        self._stop.clear()
        workers = [threading.Thread(target=self._work, args=(actor,), daemon=True) for actor in self.actors]
        lanes = [threading.Thread(target=self._hurt, args=(chosen[lane::self.plan.lanes], random.Random(
            f"{self.plan.seed}/{number}/{lane}")), daemon=True) for lane in range(self.plan.lanes)]
        for thread in (*workers, *lanes):
            thread.start()
        for thread in lanes:
            thread.join()
        self._stop.set()
        for thread in workers:
            thread.join()
        found = self._audit(excuse_errors=any(fault.hurts_hosts for fault in chosen))
        self.violations += [f"round {number}: {violation}" for violation in found]
        things = sum(len(actor.ledger.things) for actor in self.actors)
        print(f"round {number}: {len(chosen)} faults in {time.monotonic() - begun:.0f} s, {things} things, "
              f"{len(found)} violations", flush=True)
        for violation in found:
            print(f"  {violation}", flush=True)

    def _choose(self, number: int, count: int) -> list[Fault]:
        """Return a round's faults; those after which failures are excused come in every third round alone."""
        kinds = [fault for fault in self.plan.kinds if number % 3 == 0 or not fault.hurts_hosts] or self.plan.kinds
        return self.rng.choices(kinds, [fault.weight for fault in kinds], k=count)

    def _work(self, actor: Actor) -> None:
        try:
            actor.run()
        except Exception as error:  # noqa: BLE001 - an error of the campaign itself is reported, and does not end it
            actor.ledger.violate(f"client {actor.number} broke: {error!r}")

    def _hurt(self, chosen: list[Fault], rng: random.Random) -> None:
        for fault in chosen:
            time.sleep(0.5 + rng.random())
            try:
                if "broker" in fault.name or "database" in fault.name:
                    with self._one_at_a_time:
                        fault.inflict(self.cloud, rng)
                else:
                    fault.inflict(self.cloud, rng)
            except Exception as error:  # noqa: BLE001 - e.g. a row to hold in a database that another fault stopped
                print(f"  {fault.name}: {error!r:.200}", flush=True)
            self.inflicted[fault.name] += 1

    def _audit(self, *, excuse_errors: bool) -> list[str]:
        client = self._whole()
        found = audit.wait_rest(self.cloud, REST_S)
        found += audit.check_parts(self.cloud, REPAIR_S)
        failed = audit.failed_operations(self.cloud, self._judged)
        if not excuse_errors:
            found += failed
        seen = audit.look(client)
        for actor in self.actors:
            found += audit.check_promises(actor.ledger, actor.number, seen, excuse_errors=excuse_errors)
            found += actor.ledger.violations
            actor.ledger.violations = []
            audit.remove_errors(actor.ledger, client)
            self._forget_some(actor)
        return found

    def _whole(self) -> Client:
        """Return a client once the api answers again."""
        end = time.monotonic() + 90
        while True:
            try:
                return self.cloud.client(0)
            except (requests.RequestException, TimeoutError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def _forget_some(self, actor: Actor) -> None:
        """Keep the cloud small, so that a campaign of any length meets its limits only now and then."""
        servers = [thing for thing in actor.ledger.things if thing.noun == "server" and thing.id]
        for thing in servers[12:]:
            audit.remove_server(actor.ledger, actor.client, thing)

    def table(self) -> str:
        """Return the faults, the requests and the number of violations as text."""
        lines = ["", f"{'fault':45} times"]
        lines += [f"{name:45} {count}" for name, count in sorted(self.inflicted.items())]
        lines += ["", f"{'verb':20} {'done':>6} {'refused':>8} {'answer lost':>12}"]
        counts: Counter[tuple[str, str]] = Counter()
        for actor in self.actors:
            counts.update(actor.ledger.counts)
        for verb in sorted({verb for verb, _ in counts}):
            lines.append(f"{verb:20} {counts[verb, 'done']:6} {counts[verb, 'refused']:8} {counts[verb, 'unknown']:12}")
        lines += ["", f"{sum(self.inflicted.values())} faults, {sum(counts.values())} requests, "
                      f"{len(self.violations)} violations"]
        return "\n".join(lines)
