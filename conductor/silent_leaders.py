"""Judges hosts that lead outside for routers when others say that they are silent, before their lease has ended.

The naive way elects another host at the first such word. But the watcher may be the one that is cut off, and two hosts
that answer at one address are worse than none for 20 s. So the conductor asks the host itself over the bus, and some of
those that watch it (`compute.leader_watch`) whether it answers them:

- One that any of them hears keeps its routers: it is alive, and a host that does not hear it is cut off.
- Else, one that answers over the bus keeps them against one watcher, and loses them to two that agree: its wire is cut,
  and it is told that it leads no more.
- Else it is dead: neither its kernel nor its agent answers.

It costs up to `ANSWER_S` for the answer that a dead host does not give. Two conductors may judge the same host; the
election is by compare-and-set. The other way round, a host whose agent is dead but whose kernel answers others still
leads, for as long as nobody forces it down (`still_leads`).
"""

from __future__ import annotations

import functools
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent import futures
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import CloudAccess
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host
from hostler.resources.network import elections

LOG = logging.getLogger(__name__)
ANSWER_S: Final = 1.0
# Of many watchers, these say enough.
ASKED: Final = 4
# How long a host is believed to lead that some heard though its agent is dead.
BELIEVED_S: Final = 10.0

Seen = dict[str, bool | None]


class SilentLeaders:
    """One conductor's judge; safe for use by many threads."""

    def __init__(self, cloud: CloudAccess, submit: Callable[[str], None]) -> None:
        self._cloud, self._submit = cloud, submit
        self._lock = threading.Lock()
        self._judged: set[str] = set()
        self._believed: dict[str, float] = {}

    def hear(self, context: RequestContext, watcher: str, leader: str) -> None:
        """Take a watcher's word that a host is silent; has others lead outside if it is."""
        with self._lock:
            if leader in self._judged:
                return
            self._judged.add(leader)
        try:
            self._judge(context, watcher, leader)
        finally:
            with self._lock:
                self._judged.discard(leader)

    def still_leads(self, leader: str) -> bool:
        """Return whether some host hears one that does not report; also while the broker is silent, so that nobody
        could be asked or told."""
        believed = self._believed.get(leader, 0.0)
        if believed > time.monotonic():
            return True
        with self._cloud.db.reading() as session:
            watchers = elections.led_by(session, leader)[1]
        with futures.ThreadPoolExecutor(ASKED, thread_name_prefix="watchers") as pool:
            views = [view.result() for view in self._ask(pool, RequestContext.system(), watchers)]
        if None in views:
            return True
        heard = any(view[leader] for view in views if view is not None and leader in view)
        if heard:
            if time.monotonic() > believed + BELIEVED_S:  # not again for as long as it goes on
                LOG.warning("Host %s does not report, but still leads outside for its routers; start its agent, or "
                            "switch it off", leader)
            self._believed[leader] = time.monotonic() + BELIEVED_S
        return heard

    def _judge(self, context: RequestContext, watcher: str, leader: str) -> None:
        with self._cloud.db.reading() as session:
            router_ids, watchers = elections.led_by(session, leader)
        if watcher not in watchers:
            return
        pool = futures.ThreadPoolExecutor(ASKED + 1, thread_name_prefix="watchers")
        try:
            answered = pool.submit(self._answers, context, leader)
            asked = self._ask(pool, context, watchers - {watcher})
            seen = [(view.result() or {}).get(leader) for view in asked]
            if True in seen or (False not in seen and answered.result()):
                LOG.info("Host %s is silent to host %s, but not to all; it goes on leading outside", leader, watcher)
                return
            LOG.warning("Host %s is silent; others lead outside for its routers (%d)", leader, len(router_ids))
            self._replace(context, leader, router_ids, {watcher, *(asked[view] for view in asked if view.result())})
        finally:
            pool.shutdown(wait=False)

    def _ask(self, pool: futures.Executor, context: RequestContext, watchers: Iterable[str]
             ) -> dict[futures.Future[Seen | None], str]:
        """Ask some of the watchers at the same time; returns who is asked by what will be answered."""
        known = sorted(watchers)
        return {pool.submit(self._view, context, host): host
                for host in random.sample(known, min(ASKED, len(known)))}

    def _view(self, context: RequestContext, host: str) -> Seen | None:
        """Return what a host says; nothing when it is silent, None when the broker is."""
        try:
            return self._cloud.compute.get_leaders(context, host, ANSWER_S)
        except errors.BrokerSilent:
            return None
        except errors.HostlerError:
            return {}

    def _answers(self, context: RequestContext, host: str) -> bool:
        try:
            self._cloud.compute.get_leaders(context, host, ANSWER_S)
        except (errors.BrokerSilent, errors.Incompatible):
            return True  # that says nothing, or only an agent of another release says it
        except errors.Silent:
            return False
        return True

    def _replace(self, context: RequestContext, leader: str, router_ids: Iterable[str], able: Collection[str]) -> None:
        def work(session: orm.Session, router_id: str) -> list[str]:
            ids = {host.name: host.id for host in session.execute(
                sa.select(Host.name, Host.id).where(Host.name.in_([leader, *able])))}
            dead = ids.pop(leader, None)
            if dead is None or elections.leader(session, router_id) != dead:
                return []  # another conductor was faster
            chosen = elections.choose(session, router_id, self._cloud.conf.service_down_time, avoid=dead,
                                      among=set(ids.values()))
            return [] if chosen == dead else elections.elect(session, context, router_id, chosen)

        for router_id in router_ids:
            for operation_id in self._cloud.db.write(functools.partial(work, router_id=router_id)):
                self._submit(operation_id)
