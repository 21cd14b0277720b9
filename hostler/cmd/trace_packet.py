"""hostler-manage trace-packet: says hop by hop whether a packet would reach its end, and where it is dropped.

As the doctor's, the work is an operation (network.trace_packet) that a conductor runs, since conductors reach every
agent. Nothing is sent and nothing is changed. Exit status: 0 nothing on the way drops it, 1 it is dropped, 2 not
everything could be seen, or something may drop it.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors, ids
from hostler.cmd import reports
from hostler.context import RequestContext
from hostler.db import version
from hostler.db.models import Port
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network
from hostler.resources.network import protocols

Command = Callable[[cfg.ConfigOpts], None]
_STATUS: Final = {"ok": 0, "drop": 1, "doubt": 2, "unseen": 2}
_WORDS: Final = {"ok": "Nothing on the way drops it.", "drop": "It is dropped at the last line.",
                 "doubt": "Whether it arrives is not sure: see what is marked with ?.",
                 "unseen": "Nothing is known to drop it, but not everything could be seen."}
_MARKS: Final = {"ok": "ok  ", "drop": "DROP", "doubt": "?   ", "unseen": "?   "}


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Declare the command."""
    parser = add("trace-packet", run, "Follow a packet from a server's port, by the records and by what the hosts "
                                      "really have, and say where it is dropped.")
    parser.add_argument("from_port", metavar="FROM", help="the id of the port that sends it")
    parser.add_argument("to", metavar="TO", help="the id of a port, or an address")
    parser.add_argument("--protocol", default="icmp", help="name or number; default icmp (a ping)")
    parser.add_argument("--port", type=int, help="the destination port; tcp and udp need it")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--timeout", type=float, default=120, help="seconds to wait for the report; default 120")


def run(conf: cfg.ConfigOpts) -> None:
    """Ask, wait, print; ends the process with one of the statuses above."""
    command = conf.command
    asked = _checked(command.to, command.protocol, command.port)
    database = version.open_database(conf)

    def work(session: orm.Session) -> str:
        port_id = ids.canonical(command.from_port)
        if session.scalar(sa.select(Port.id).where(Port.id == port_id)) is None:
            raise errors.NotFound(resource="port", id=command.from_port)
        return accept(session, RequestContext.system(), network.TRACE_PACKET, Target("port", str(port_id)), asked,
                      lock=False).id

    report = reports.wait(database, database.write(work), command.timeout)
    print(json.dumps(report, indent=2) if command.json else readable(report))
    sys.exit(_STATUS[report["verdict"]])


def readable(report: dict[str, Any]) -> str:
    """Return a report as lines for people."""
    width = max(len(hop["where"]) for hop in report["hops"])
    return "\n".join([f"{report['packet']} from {report['from']}", f"to {report['to']}:",
                      *(f"  {_MARKS[hop['state']]}  {hop['where']:{width}}  {hop['what']}" for hop in report["hops"]),
                      _WORDS[report["verdict"]]])


def _checked(to: str, protocol: str, port: int | None) -> network.TracePacket:
    try:
        number = protocols.number_of(protocol.lower())
    except ValueError as error:
        raise errors.InvalidField(field="--protocol", value=protocol, reason=str(error)) from None
    if (number in protocols.WITH_PORTS) != (port is not None) or port is not None and not 0 < port < 65536:
        raise errors.InvalidField(field="--port", value=str(port), reason=(
            "Protocols with ports need one of 1 to 65535, others have none."))
    if ids.canonical(to) is None:
        try:
            ipaddress.ip_address(to)
        except ValueError:
            raise errors.InvalidField(field="TO", value=to,
                                      reason="It is neither a port's id nor an address.") from None
    return network.TracePacket(to=to, protocol=protocol.lower(), port=port)
