"""hostler-manage host list|drain|undrain: hosts, and emptying them."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db import version
from hostler.db.engine import Database
from hostler.db.models import Host, Operation, Server
from hostler.db.moments import read_now
from hostler.operations import drains, notes, states

Command = Callable[[cfg.ConfigOpts], None]
_LOOK_EVERY_S = 0.5


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Declare the commands."""
    add("host-list", _list, "List hosts, whether they are up and in service, and how many servers they hold.")
    parser = add("host-drain", _drain, "Take a host out of service and move its servers away; says what stays.")
    parser.add_argument("host", help="the host's name")
    parser.add_argument("--reason", default=drains.REASON, help="why, for administrators")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")
    parser = add("host-undrain", _undrain, "Let a host have servers again; ends a drain under way.")
    parser.add_argument("host", help="the host's name")


def _list(conf: cfg.ConfigOpts) -> None:
    with version.open_database(conf).reading() as session:
        present = read_now(session)
        counts = dict(session.execute(sa.select(Server.host_id, sa.func.count()).where(
            Server.deleted_at.is_(None)).group_by(Server.host_id)).tuples().all())
        for host in session.scalars(sa.select(Host).order_by(Host.name)):
            silent_s = (present - host.last_seen_at).total_seconds() if host.last_seen_at else None
            down = host.forced_down or silent_s is None or silent_s > conf.service_down_time
            state = "forced down" if host.forced_down else "down" if down else "up"
            service = "enabled" if host.enabled else f"disabled ({host.disabled_reason or 'no reason given'})"
            print(f"{host.name:24} {state:12} {service:40} {counts.get(host.id, 0)} servers")


def _drain(conf: cfg.ConfigOpts) -> None:
    database, command = version.open_database(conf), conf.command

    def work(session: orm.Session) -> str:
        return drains.drain(session, RequestContext.system(), drains.host_named(session, command.host), command.reason)

    operation_id = database.write(work)
    print(f"Host {command.host} gets no new servers; operation {operation_id} moves the others away.")
    if not command.no_wait:
        sys.exit(_wait(database, operation_id))


def _wait(database: Database, operation_id: str) -> int:
    """Wait for the end and print what stays; returns 0 when nothing does."""
    said = None
    while True:
        with database.reading() as session:
            operation = session.get_one(Operation, operation_id)
            report = notes.value(session, operation_id, notes.REPORT) or {}
        if operation.state not in states.UNFINISHED:
            break
        if operation.waiting_for and operation.waiting_for != said:
            said = operation.waiting_for
            print(f"waits for {said}")
        time.sleep(_LOOK_EVERY_S)
    for server_id, why in sorted(report.items()):
        print(f"{server_id} stays: {why}")
    print("The host is empty." if operation.state == states.SUCCEEDED and not report else operation.message or
          f"{len(report)} servers stay.")
    return 0 if operation.state == states.SUCCEEDED and not report else 1


def _undrain(conf: cfg.ConfigOpts) -> None:
    database, name = version.open_database(conf), conf.command.host
    database.write(lambda session: drains.undrain(session, drains.host_named(session, name)))
    print(f"Host {name} may have servers again.")
