"""hostler-manage network-services: shows and changes who gives a network's services, also of one that is in use."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Final

from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db import version
from hostler.db.engine import Database
from hostler.db.models import Network
from hostler.resources.network import providers, services

Command = Callable[[cfg.ConfigOpts], None]
_NOBODY: Final = "none"


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Declare the commands."""
    for verb, run, text in (("show", _show, "Show which provider gives which service of a network."),
                            ("set", _set, "Choose which provider gives services of a network, which may be in use.")):
        parser = add(f"network-services-{verb}", run, text)
        parser.add_argument("network_id", metavar="network", help="the network's id")
    parser.add_argument("choices", nargs="+", metavar="SERVICE=PROVIDER", help=(
        f"services: {', '.join(services.OFFERED[services.FLAT])}; providers: {services.FLAT} (each host for its own "
        f"guests), {services.VIRTUAL_ROUTER} (the elected host of its router, for all), {_NOBODY}"))


def _show(conf: cfg.ConfigOpts) -> None:
    with version.open_database(conf).reading() as session:
        _print(session, _find(session, conf.command.network_id))


def _set(conf: cfg.ConfigOpts) -> None:
    command, database = conf.command, version.open_database(conf)
    choices = dict(map(_choice, command.choices))

    def work(session: orm.Session) -> None:
        network = _find(session, command.network_id, database)
        providers.choose(session, RequestContext.system(), network, choices, conf.service_down_time)

    database.write(work)
    _show(conf)


def _choice(text: str) -> tuple[str, str | None]:
    service, _, provider = text.partition("=")
    return service, None if provider == _NOBODY else provider


def _find(session: orm.Session, named: str, database: Database | None = None) -> Network:
    """Return the network, its row held in `database` if there is one."""
    network_id = ids.canonical(named) or ""
    if database is not None:
        database.lock_row(session, Network, Network.id == network_id)
    network = session.get(Network, network_id)
    if network is None:
        raise errors.NotFound(f"Network {named} could not be found.", resource="network", id=named)
    return network


def _print(session: orm.Session, network: Network) -> None:
    given = {ref.service: ref.provider for ref in providers.refs(session, network)}
    for service in services.OFFERED[services.FLAT]:
        print(f"{service:14} {given.get(service, _NOBODY)}")
