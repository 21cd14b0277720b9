"""The task that finds another host for a server whose host is down."""

from __future__ import annotations

import dataclasses

from sqlalchemy import orm

from conductor.tasks.scheduler.hosts import SelectHost
from hostler.db.models import Server
from scheduler.rpcapi import Request


class SelectRefuge(SelectHost):
    """Have the scheduler choose and claim another host than the server's, or check and claim the one asked for.

    Revert: release the claim and do not try that host again.
    """

    def request(self, session: orm.Session) -> Request:
        """Return what is asked of the scheduler; the host that the server was created on has no say."""
        asked = super().request(session)
        source = session.get_one(Server, self.run.resource_id).host_id
        return dataclasses.replace(asked, host=self.run.store["host"], excluded_hosts=(
            *asked.excluded_hosts, str(source)))
