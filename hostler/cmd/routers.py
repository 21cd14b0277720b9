"""hostler-manage router-set: changes what leads outside for a router that is up, without an interruption to speak of.

The Network API has a word for it, but for routers that are switched off alone.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db import version
from hostler.db.models import Router
from hostler.resources.network import elections, services

Command = Callable[[cfg.ConfigOpts], None]


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Declare the command."""
    parser = add("router-set", _set, "Choose what leads outside for a router, which may be up.")
    parser.add_argument("router", help="the router's id")
    parser.add_argument("--provider", required=True, choices=[services.FLAT, services.VIRTUAL_ROUTER],
                        help="Flat: each host for its own guests; VirtualRouter: one host, which is elected, for all")


def _set(conf: cfg.ConfigOpts) -> None:
    command, database = conf.command, version.open_database(conf)
    distributed = command.provider == services.FLAT

    def work(session: orm.Session) -> None:
        router_id = ids.canonical(command.router) or ""
        database.lock_row(session, Router, Router.id == router_id)
        router = session.get(Router, router_id)
        if router is None:
            raise errors.NotFound(f"Router {command.router} could not be found.", resource="router", id=command.router)
        if router.distributed != distributed:
            router.revision += 1
            elections.swap(session, RequestContext.system(), router, conf.service_down_time, distributed=distributed)

    database.write(work)
    print(f"Router {command.router}: {command.provider}. Conductors tell the hosts.")
