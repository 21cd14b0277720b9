"""Reads the records, asks the hosts, and walks."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import orm

from conductor.homes import ask_all
from conductor.run import Run
from conductor.trace import endpoints
from conductor.trace.endpoints import End
from conductor.trace.rules import Packet
from conductor.trace.walk import DOUBT, DROP, UNSEEN, Walk
from hostler.resources.network import kinds, peers


def trace(run: Run, from_port: str, to: str, packet: Packet) -> dict[str, Any]:
    """Return {"from", "to", "packet", "hops": [maps of `walk.Hop`], "verdict"}: drop, unseen, doubt or ok.

    Raises NotFound and Invalid for ports that have no way to be followed.
    """
    inner_port: int | None = None
    with run.reading() as session:
        source = endpoints.sender(session, from_port, to)
        address, target = endpoints.receiver(session, source, to)
        if target is None and (found := endpoints.forwarded(session, address, packet.protocol, packet.port)):
            target, inner_port = found
        places = _places(session, source, target)
    real, _ = ask_all("host", list(places), lambda host: run.cloud.compute.inspect_network(
        run.context, host, places[host]))
    hops = list(Walk(packet, source, address, target, real, inner_port=inner_port).hops())
    states = {hop.state for hop in hops}
    return {"from": f"port {source.port.id} ({source.address}) on {source.host}",
            "to": address if target is None else f"port {target.port.id} ({address}) on {target.host}",
            "packet": str(packet), "hops": [dataclasses.asdict(hop) for hop in hops],
            "verdict": next((state for state in (DROP, UNSEEN, DOUBT) if state in states), "ok")}


def _places(session: orm.Session, source: End, target: End | None) -> dict[str, dict[str, list[str]]]:
    """Return the hosts to ask, each with the places on VXLAN networks that it must know: those of the other end."""
    ends = [source, *([target] if target is not None else [])]
    asked: dict[str, dict[str, list[str]]] = {end.place.name: {} for end in ends if end.place is not None}
    if len(asked) < 2 or target is None or target.floating is not None:
        return asked
    for end, other in ((source, target), (target, source)):
        network = other.port.network
        if network.network_type == kinds.VXLAN and end.place is not None:
            found = peers.members(session, [network.id], [other.port.id])[kinds.key(network.id)]
            asked[end.place.name][network.id] = sorted(found[other.port.id])
    return asked
