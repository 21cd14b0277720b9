"""hostler-manage: the operator's commands that need no running service."""

from __future__ import annotations

import datetime as dt
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from hostler import bootstrap, clock, errors
from hostler.cmd import (
    bus_user,
    doctor,
    hosts,
    network_services,
    pki,
    routers,
    running,
    server_groups,
    trace_packet,
)
from hostler.db import purge, schema, version
from hostler.db.engine import Database
from hostler.db.models import Operation
from hostler.identity import keys
from hostler.images.tiny import build as tiny
from hostler.operations import states

PROG = "hostler-manage"
Command = Callable[[cfg.ConfigOpts], None]


def _db_upgrade(conf: cfg.ConfigOpts) -> None:
    database = Database.from_conf(conf)
    schema.upgrade(database)
    print(f"The schema is at {version.current(database)}.")


def _db_version(conf: cfg.ConfigOpts) -> None:
    database = Database.from_conf(conf)
    print(f"database: {version.current(database)}\nprogram:  {version.newest()}")


def _db_purge(conf: cfg.ConfigOpts) -> None:
    before = clock.utcnow() - dt.timedelta(days=conf.command.older_than_days)
    for table, count in purge.purge(version.open_database(conf), before).items():
        print(f"{table}: {count} rows removed")


def _bootstrap(conf: cfg.ConfigOpts) -> None:
    database = version.open_database(conf)
    command = conf.command
    public_url = command.public_url or conf.api.public_url or f"http://127.0.0.1:{conf.api.bind_port}"
    result = bootstrap.bootstrap(
        database, conf, admin_password=command.admin_password, public_url=public_url,
        out_dir=Path(command.out_dir or conf.state_path), network_cidr=command.network_cidr or None,
        open_default_group=command.open_default_group)
    print(f"made: {', '.join(result.created) or 'nothing, all was there'}")
    print(f"clouds file: {result.clouds_file}\nopenrc file: {result.openrc_file}")


def _rotate_keys(conf: cfg.ConfigOpts) -> None:
    newest = keys.rotate(keys.directory_of(conf), max_active=conf.command.max_active or conf.identity.max_active_keys)
    print(f"Tokens are signed with key {newest} from now on; copy {keys.directory_of(conf)} to the other api nodes.")


def _build_tiny(conf: cfg.ConfigOpts) -> None:
    output = Path(conf.command.output).resolve()
    print(tiny.build(output, Path(conf.command.work_dir or output.parent / "tiny-work").resolve()))


def _operations(conf: cfg.ConfigOpts) -> None:
    query = sa.select(Operation).order_by(Operation.created_at.desc()).limit(conf.command.limit)
    if not conf.command.all:
        query = query.where(Operation.state.in_(states.UNFINISHED))
    with version.open_database(conf).reading() as session:
        for row in session.scalars(query):
            print(f"{row.id} {row.kind:16} {row.resource_type} {row.resource_id} {row.state:9} {row.progress:3}% "
                  f"attempt {row.attempt} since {clock.iso_z(row.created_at)} "
                  f"{('waits for ' + row.waiting_for) if row.waiting_for else ''}{row.message or ''}")


def _add_commands(subparsers: Any) -> None:
    def add(name: str, run: Command, text: str) -> ArgumentParser:
        parser: ArgumentParser = subparsers.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        return parser

    add("db-upgrade", _db_upgrade, "Bring the database's schema up to date; may be repeated.")
    add("db-version", _db_version, "Show the schema's version and the one this program needs.")
    parser = add("db-purge", _db_purge, "Remove the records of what was deleted or finished long ago.")
    parser.add_argument("--older-than-days", type=int, default=30, help="age in days; default 30")
    parser = add("bootstrap", _bootstrap, "Make the administrator, roles, flavors, the default network and the "
                                          "client's login files; may be repeated.")
    parser.add_argument("--admin-password", help="default: a random one, written into the login files")
    parser.add_argument("--public-url", help="URL at which clients reach the api, e.g. http://cloud:8780")
    parser.add_argument("--out-dir", help="where clouds.yaml and openrc are written; default: state_path")
    parser.add_argument("--network-cidr", default="10.88.0.0/24", help="addresses of the default network; '' for none")
    parser.add_argument("--open-default-group", action="store_true",
                        help="let ssh and ping into the administrator's default security group")
    parser = add("rotate-keys", _rotate_keys, "Sign new tokens with a new key; tokens of the last keys stay valid.")
    parser.add_argument("--max-active", type=int, help="keys kept; default: identity.max_active_keys")
    parser = add("build-tiny-image", _build_tiny, "Build the tiny test guest from the distribution's packages.")
    parser.add_argument("output", help="the qcow2 file to write")
    parser.add_argument("--work-dir", help="scratch and package cache; default: beside the output")
    pki.add_commands(add)
    bus_user.add_commands(add)
    hosts.add_commands(add)
    server_groups.add_commands(add)
    routers.add_commands(add)
    network_services.add_commands(add)
    trace_packet.add_commands(add)
    parser = add("operations", _operations, "List operations that are not finished.")
    parser.add_argument("--all", action="store_true", help="finished ones too")
    parser.add_argument("--limit", type=int, default=100, help="at most this many; default 100")
    doctor.add_arguments(add("doctor", doctor.run, "Compare the records with hosts and storage nodes, say what is "
                                                   "wrong, and repair it on request."))


def main() -> None:
    """Entry point of the console script."""
    command = cfg.SubCommandOpt("command", title="commands", handler=_add_commands, dest="command")
    conf = running.load(PROG, _two_words(sys.argv[1:]), cli_opts=[command])
    running.set_up_logging(conf, PROG)
    try:
        conf.command.run(conf)
    except errors.HostlerError as error:
        sys.exit(f"{PROG}: {error}")


def _two_words(argv: list[str]) -> list[str]:
    """Let `db upgrade` be said for `db-upgrade`, and so on."""
    joined = {("db", "upgrade"), ("db", "version"), ("db", "purge"), ("identity", "rotate-keys"),
              ("image", "build-tiny"), ("pki", "init"), ("pki", "issue"),
              *(("host", verb) for verb in ("list", "drain", "undrain")),
              *(("server-group", verb) for verb in ("list", "set")), ("router", "set"),
              ("network", "services"), *(("network-services", verb) for verb in ("show", "set")),
              *(("bus-user", verb) for verb in ("add", "list", "remove", "rotate"))}
    names = {("identity", "rotate-keys"): "rotate-keys", ("image", "build-tiny"): "build-tiny-image"}
    for index, pair in enumerate(zip(argv, argv[1:], strict=False)):
        if pair in joined:
            return _two_words([*argv[:index], names.get(pair, "-".join(pair)), *argv[index + 2:]])
    return argv
