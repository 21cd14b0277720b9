"""hostler-manage server-group list|set: what becomes of a group's servers when their host fails.

The published API has no place for it.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors, ids
from hostler.db import version
from hostler.db.models import ServerGroup
from hostler.resources.server import host_failure

Command = Callable[[cfg.ConfigOpts], None]
_UNSET: Final = "unset"


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Declare the commands."""
    add("server-group-list", _list, "List server groups and what becomes of their servers when a host fails.")
    parser = add("server-group-set", _set, "Choose what becomes of a group's servers when their host fails.")
    parser.add_argument("group", help="the group's id")
    parser.add_argument("--on-host-failure", required=True, choices=[*host_failure.CHOICES, _UNSET],
                        help="restart: evacuate them; none: leave them; unset: as their flavors say")


def _list(conf: cfg.ConfigOpts) -> None:
    with version.open_database(conf).reading() as session:
        for group in session.scalars(sa.select(ServerGroup).order_by(ServerGroup.created_at, ServerGroup.id)):
            print(f"{group.id} {group.policy:18} {group.on_host_failure or _UNSET:8} {group.name}")


def _set(conf: cfg.ConfigOpts) -> None:
    wanted = conf.command.on_host_failure

    def work(session: orm.Session) -> None:
        group = session.get(ServerGroup, ids.canonical(conf.command.group) or "")
        if group is None:
            raise errors.NotFound(f"Server group {conf.command.group} could not be found.", resource="server_group",
                                  id=conf.command.group)
        group.on_host_failure = None if wanted == _UNSET else wanted

    version.open_database(conf).write(work)
    print(f"Server group {conf.command.group}: {wanted}.")
