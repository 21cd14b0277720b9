"""The changes clients ask for: one row per verb, and one client that asks for them at random."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import requests

from tests.chaos.ledger import GONE, Ledger, Thing
from tests.harness.client import Client

DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"
COMPUTE, VOLUME, NETWORK = "/compute/v2.1", "/volume/v3", "/network/v2.0"
# No request may take longer, during any fault.
PATIENCE_S = 45
# What servers are made with and resized to; the campaign's cloud makes all but the first.
FLAVORS: Final = ("42", "chaos2", "chaos3")


class Actor:
    """One client with things of its own; `step` does one random verb."""

    def __init__(self, number: int, client: Client, rng: random.Random, image_id: str, stop: threading.Event) -> None:
        self.number = number
        self.client = client
        self.rng = rng
        self.image_id = image_id
        self.ledger = Ledger()
        self._made = 0
        self._stop = stop

    def run(self) -> None:
        """Work until told to stop."""
        while not self._stop.is_set():
            self.step()
            self._stop.wait(self.rng.random() * 0.4)

    def step(self) -> None:
        """Do one verb that has something to work on."""
        verb = self.rng.choices(VERBS, [verb.weight for verb in VERBS])[0]
        candidates = self.ledger.of(verb.noun, *verb.starts) if verb.starts else [None]
        if candidates:
            verb.act(self, verb, self.rng.choice(candidates))

    def new_name(self, noun: str) -> str:
        """Return a name that no other thing has."""
        self._made += 1
        return f"{noun}-{self.number}-{self._made}"

    def send(self, verb: str, method: str, path: str, body: Any = None) -> tuple[str, dict[str, Any]]:
        """Make a request; returns how it ended and its answer."""
        begun = time.monotonic()
        try:
            answer = self.client.request(method, path, json=body, timeout=PATIENCE_S)
        except requests.ReadTimeout:
            self.ledger.violate(f"{method} {path} had no answer within {PATIENCE_S} s")
            answer = None
        except requests.RequestException:
            answer = None
        outcome = self._outcome(answer, f"{method} {path}", time.monotonic() - begun)
        self.ledger.count(verb, outcome)
        content = answer.json() if answer is not None and outcome == DONE and answer.content else {}
        return outcome, content

    def _outcome(self, answer: requests.Response | None, what: str, took_s: float) -> str:
        if answer is None or answer.status_code == 504:  # 504: whether it was committed is unknown
            return UNKNOWN
        if answer.status_code < 300:
            return DONE
        if answer.status_code >= 500 and answer.status_code != 503:
            self.ledger.violate(f"{what} answered {answer.status_code} after {took_s:.1f} s: {answer.text[:200]}")
            return UNKNOWN
        return REFUSED


def note(thing: Thing, outcome: str, state: str) -> None:
    """Write down what a change of `thing` to `state` allows from now on."""
    states = {state, "SHUTOFF"} if state == "ACTIVE" and thing.maybe_off else {state}
    if outcome == DONE:
        thing.allowed = states
    elif outcome == UNKNOWN:
        thing.allowed |= states


@dataclasses.dataclass(frozen=True)
class Verb:
    """A change: to a `noun` in one of `starts` (none: it makes one), which `ends` in that state."""

    name: str
    noun: str
    act: Callable[[Actor, Verb, Any], None]
    starts: tuple[str, ...] = ()
    ends: str = ""
    weight: int = 5
    detail: Any = None


def _make(path: str, key: str, body: Callable[[Actor], dict[str, Any] | None]) -> Callable[[Actor, Verb, Any], None]:
    def act(actor: Actor, verb: Verb, _none: Any) -> None:
        values = body(actor)
        if values is None:
            return
        name = values.get("name") or values["description"]
        outcome, content = actor.send(verb.name, "POST", path, {key: values})
        if outcome != REFUSED:
            found = content.get(key, {}).get("id")
            actor.ledger.things.append(Thing(verb.noun, name, {verb.ends} if outcome == DONE else {verb.ends, GONE},
                                             found))

    return act


def _delete(path: str) -> Callable[[Actor, Verb, Thing], None]:
    def act(actor: Actor, verb: Verb, thing: Thing) -> None:
        outcome, _ = actor.send(verb.name, "DELETE", path.format(thing.id))
        note(thing, outcome, verb.ends)

    return act


def _server_action(actor: Actor, verb: Verb, thing: Thing) -> None:
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action", verb.detail)
    note(thing, outcome, verb.ends)


def _remove_server(actor: Actor, verb: Verb, thing: Thing) -> None:
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action", verb.detail)
    note(thing, outcome, GONE)
    if outcome != REFUSED:
        actor.ledger.let_go(thing.volumes, certainly=outcome == DONE)


def _soft_delete(actor: Actor, verb: Verb, thing: Thing) -> None:
    outcome, found = actor.send("show server", "GET", f"{COMPUTE}/servers/{thing.id}")
    # Restored it is what it was when it went to the trash, which is known of a server at rest alone.
    at_rest = outcome == DONE and found["server"]["OS-EXT-STS:task_state"] is None
    if at_rest and found["server"]["status"] == "ACTIVE":
        outcome, _ = actor.send(verb.name, "DELETE", f"{COMPUTE}/servers/{thing.id}")
        note(thing, outcome, verb.ends)
        if outcome != REFUSED:  # it cancels what is under way: a volume on its way in does not get there
            actor.ledger.let_go(thing.volumes, certainly=False)


def _shelve(actor: Actor, verb: Verb, thing: Thing) -> None:
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action", verb.detail)
    note(thing, outcome, verb.ends)
    before, after = ("in-use", "reserved") if verb.name == "shelve" else ("reserved", "in-use")
    for volume in actor.ledger.things:
        if volume.id in thing.volumes and before in volume.allowed:
            # Whether one got in whose answer was lost is not known.
            note(volume, outcome if volume.certain else UNKNOWN, after)


def _rebuild(actor: Actor, verb: Verb, thing: Thing) -> None:
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action",
                            {"rebuild": {"imageRef": actor.image_id}})
    note(thing, outcome, next(iter(thing.allowed)))


def _image(actor: Actor, verb: Verb, thing: Thing) -> None:
    name = actor.new_name("image")
    outcome, content = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action",
                                  {"createImage": {"name": name}})
    if outcome != REFUSED:
        # A deletion of the server takes the unfinished image along.
        actor.ledger.things.append(Thing("image", name, {"active", GONE}, content.get("image_id")))


def _resize(actor: Actor, verb: Verb, thing: Thing) -> None:
    flavor = actor.rng.choice(FLAVORS)
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/action",
                            {"resize": {"flavorRef": flavor}})
    note(thing, outcome, verb.ends)


def _plug(actor: Actor, verb: Verb, thing: Thing) -> None:
    actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/os-interface",
               {"interfaceAttachment": {"net_id": actor.client.network_id}})  # type: ignore[attr-defined]


def _unplug(actor: Actor, verb: Verb, thing: Thing) -> None:
    _, found = actor.send("list interfaces", "GET", f"{COMPUTE}/servers/{thing.id}/os-interface")
    ports = found.get("interfaceAttachments", [])
    if len(ports) > 1:
        actor.send(verb.name, "DELETE", f"{COMPUTE}/servers/{thing.id}/os-interface/"
                   + str(actor.rng.choice(ports)["port_id"]))


def _server(actor: Actor) -> dict[str, Any]:
    return {"name": actor.new_name("server"), "imageRef": actor.image_id, "flavorRef": "42", "networks": "auto"}


def _rename(actor: Actor, verb: Verb, thing: Thing) -> None:
    actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/metadata",
               {"metadata": {"turn": str(actor.rng.randrange(1000))}})


def _attach(actor: Actor, verb: Verb, thing: Thing) -> None:
    volumes = actor.ledger.of("volume", "available")
    if not volumes:
        return
    volume = actor.rng.choice(volumes)
    outcome, _ = actor.send(verb.name, "POST", f"{COMPUTE}/servers/{thing.id}/os-volume_attachments",
                            {"volumeAttachment": {"volumeId": volume.id}})
    note(volume, outcome, "in-use")
    if outcome != REFUSED:
        thing.volumes.add(str(volume.id))


def _detach(actor: Actor, verb: Verb, thing: Thing) -> None:
    attached = [volume for volume in actor.ledger.of("volume", "in-use") if volume.id in thing.volumes]
    if not attached:
        return
    volume = actor.rng.choice(attached)
    outcome, _ = actor.send(verb.name, "DELETE", f"{COMPUTE}/servers/{thing.id}/os-volume_attachments/{volume.id}")
    note(volume, outcome, "available")
    if outcome == DONE:  # what becomes of the server is nothing to it any more
        thing.volumes.discard(str(volume.id))


def _volume(actor: Actor) -> dict[str, Any]:
    return {"name": actor.new_name("volume"), "size": 1}


def _volume_action(actor: Actor, verb: Verb, thing: Thing) -> None:
    actor.send(verb.name, "POST", f"{VOLUME}/volumes/{thing.id}/action", {"os-extend": {"new_size": 2}})


def _of_volume(noun: str) -> Callable[[Actor], dict[str, Any] | None]:
    def body(actor: Actor) -> dict[str, Any] | None:
        volumes = actor.ledger.of("volume", "available")
        return {"name": actor.new_name(noun), "volume_id": actor.rng.choice(volumes).id} if volumes else None

    return body


def _rule(actor: Actor) -> dict[str, Any]:
    name = actor.new_name("rule")
    port = 1024 + actor.number * 10000 + int(name.rpartition("-")[2])
    return {"description": name, "security_group_id": actor.client.group_id,  # type: ignore[attr-defined]
            "direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}


def _network(actor: Actor) -> dict[str, Any]:
    return {"name": actor.new_name("network")}


_OFF_OR_ON: Final = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED")
_ANY: Final = (*_OFF_OR_ON, "VERIFY_RESIZE", "RESCUE", "SHELVED_OFFLOADED", "SOFT_DELETED")
VERBS: Final = (
    Verb("create server", "server", _make(f"{COMPUTE}/servers", "server", _server), ends="ACTIVE", weight=16),
    Verb("delete server", "server", _remove_server, _ANY, GONE, 6, {"forceDelete": None}),
    Verb("soft delete", "server", _soft_delete, ("ACTIVE",), "SOFT_DELETED", 3),
    Verb("restore", "server", _server_action, ("SOFT_DELETED",), "ACTIVE", 6, {"restore": None}),
    Verb("rebuild", "server", _rebuild, ("ACTIVE", "SHUTOFF"), weight=4),
    Verb("create image", "server", _image, _OFF_OR_ON, weight=4),
    Verb("delete image", "image", _delete("/image/v2/images/{}"), ("active",), GONE, 6),
    Verb("resize", "server", _resize, ("ACTIVE",), "VERIFY_RESIZE"),
    Verb("migrate", "server", _server_action, ("ACTIVE",), "VERIFY_RESIZE", 5, {"migrate": None}),
    Verb("confirm resize", "server", _server_action, ("VERIFY_RESIZE",), "ACTIVE", 8, {"confirmResize": None}),
    Verb("revert resize", "server", _server_action, ("VERIFY_RESIZE",), "ACTIVE", 8, {"revertResize": None}),
    Verb("live-migrate", "server", _server_action, ("ACTIVE",), "ACTIVE", 6,
         detail={"os-migrateLive": {"host": None, "block_migration": "auto"}}),
    Verb("rescue", "server", _server_action, ("ACTIVE",), "RESCUE", 3, {"rescue": None}),
    Verb("unrescue", "server", _server_action, ("RESCUE",), "ACTIVE", 6, {"unrescue": None}),
    Verb("shelve", "server", _shelve, ("ACTIVE",), "SHELVED_OFFLOADED", 4, {"shelve": None}),
    Verb("unshelve", "server", _shelve, ("SHELVED_OFFLOADED",), "ACTIVE", 8, {"unshelve": None}),
    Verb("attach interface", "server", _plug, ("ACTIVE", "SHUTOFF"), weight=4),
    Verb("detach interface", "server", _unplug, ("ACTIVE", "SHUTOFF"), weight=5),
    Verb("stop", "server", _server_action, ("ACTIVE",), "SHUTOFF", detail={"os-stop": None}),
    Verb("start", "server", _server_action, ("SHUTOFF",), "ACTIVE", 8, {"os-start": None}),
    Verb("reboot", "server", _server_action, ("ACTIVE",), "ACTIVE", detail={"reboot": {"type": "HARD"}}),
    Verb("pause", "server", _server_action, ("ACTIVE",), "PAUSED", 3, {"pause": None}),
    Verb("unpause", "server", _server_action, ("PAUSED",), "ACTIVE", 6, {"unpause": None}),
    Verb("suspend", "server", _server_action, ("ACTIVE",), "SUSPENDED", 3, {"suspend": None}),
    Verb("resume", "server", _server_action, ("SUSPENDED",), "ACTIVE", 6, {"resume": None}),
    Verb("set metadata", "server", _rename, _OFF_OR_ON, weight=3),
    Verb("attach volume", "server", _attach, ("ACTIVE", "SHUTOFF"), weight=8),
    Verb("detach volume", "server", _detach, ("ACTIVE", "SHUTOFF"), weight=8),
    Verb("create volume", "volume", _make(f"{VOLUME}/volumes", "volume", _volume), ends="available", weight=9),
    Verb("delete volume", "volume", _delete(f"{VOLUME}/volumes/{{}}"), ("available",), GONE),
    Verb("extend volume", "volume", _volume_action, ("available",), weight=4),
    Verb("create snapshot", "snapshot", _make(f"{VOLUME}/snapshots", "snapshot", _of_volume("snapshot")),
         ends="available"),
    Verb("delete snapshot", "snapshot", _delete(f"{VOLUME}/snapshots/{{}}"), ("available",), GONE, 6),
    Verb("create backup", "backup", _make(f"{VOLUME}/backups", "backup", _of_volume("backup")), ends="available",
         weight=4),
    Verb("delete backup", "backup", _delete(f"{VOLUME}/backups/{{}}"), ("available",), GONE),
    Verb("create rule", "rule", _make(f"{NETWORK}/security-group-rules", "security_group_rule", _rule), ends="there"),
    Verb("delete rule", "rule", _delete(f"{NETWORK}/security-group-rules/{{}}"), ("there",), GONE),
    Verb("create network", "network", _make(f"{NETWORK}/networks", "network", _network), ends="ACTIVE", weight=3),
    Verb("delete network", "network", _delete(f"{NETWORK}/networks/{{}}"), ("ACTIVE",), GONE, 3),
)
