"""Watches the hosts that lead outside for routers of guests here, and tells the conductors when one falls silent.

A host that dies says nothing, and its lease takes `service_down_time` to end. More reports of all hosts would find it
sooner, at a cost that each host pays at rest. So only those watch that depend on such a host, and could take over: they
send it an echo request each `interval_s`, however many routers it leads outside for. Its kernel answers, not its agent,
so an agent may be restarted, or dead, without notice.

A host counts as silent when `multiplier` requests in a row got no answer, after it has once answered: where a firewall
drops echo requests, nobody falls silent, and the lease alone decides; the log then says so once. What silence means,
the conductors judge (`conductor.silent_leaders`).
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from oslo_config import cfg

from hostler import errors
from hostler.resources.server.specs import RouterSpec

LOG = logging.getLogger(__name__)
# A report may be lost, or the judgement be that the host lives: it is repeated, less and less often.
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
# After so many requests a host that never answered is said to be out of reach of them.
_UNHEARD: Final = 60


class Echo(Protocol):
    """Sends echo requests (`compute.network.echo` is the real one)."""

    def send(self, address: str) -> None:
        """Send a request; an unreachable network counts as no answer."""

    def answered(self) -> set[str]:
        """Return the addresses that answered since this was called last."""

    def close(self) -> None:
        """Let go of the socket."""


@dataclasses.dataclass
class _Watched:
    address: str
    unanswered: int = 0
    known: bool = False  # it has answered
    pause_s: float = _FIRST_PAUSE_S
    report_at: float = 0.0


def elsewhere(routers: Iterable[RouterSpec], host: str) -> dict[str, str]:
    """Return the tunnel address of each other host that leads outside for one of the routers, by the host's name."""
    newest: dict[str, RouterSpec] = {}
    for router in routers:
        if router.id not in newest or router.revision > newest[router.id].revision:
            newest[router.id] = router
    return {router.elected["host"]: router.elected["tunnel_ip"] for router in newest.values()
            if router.elected and router.elected["host"] != host and router.elected["tunnel_ip"]}


class LeaderWatch:
    """Its thread runs only while there is somebody to watch. `interval_s` 0: nobody is watched."""

    def __init__(self, echo: Echo, *, interval_s: float, multiplier: int) -> None:
        self.on_silence: Callable[[str], None] = lambda host: None
        self.echo = echo
        self._interval_s = interval_s
        self._multiplier = multiplier
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @classmethod
    def of(cls, conf: cfg.ConfigOpts, echo: Echo) -> LeaderWatch:
        """Return a watch as configured."""
        return cls(echo, interval_s=conf.network.gateway_probe_interval,
                   multiplier=conf.network.gateway_probe_multiplier)

    def follow(self, leaders: Mapping[str, str]) -> None:
        """Watch these hosts, each by its address, and no others."""
        if not self._interval_s:
            return
        with self._lock:
            self._watched = {
                host: known if (known := self._watched.get(host)) is not None and known.address == address
                else _Watched(address) for host, address in leaders.items()}
            if self._watched and self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="leader-watch", daemon=True)
                self._thread.start()

    def seen(self) -> dict[str, bool | None]:
        """Return whether each host that is watched answers; None: it never did, or the next moment will tell."""
        with self._lock:
            return {host: self._answers(watched) for host, watched in self._watched.items()}

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def look(self) -> None:
        """Take the answers since the last look, report who is silent, and ask again."""
        answered = self.echo.answered()
        with self._lock:
            watched = dict(self._watched)
        for host, one in watched.items():
            if one.address in answered:
                if one.unanswered >= self._multiplier and one.known:
                    LOG.info("Host %s, which leads outside for routers, answers again", host)
                one.known, one.unanswered, one.pause_s, one.report_at = True, 0, _FIRST_PAUSE_S, 0.0
            elif self._answers(one) is False and time.monotonic() >= one.report_at:
                self._report(host, one)
            one.unanswered += 1
            if not one.known and one.unanswered == _UNHEARD:
                LOG.warning("Host %s, which leads outside for routers, never answered ICMP echo requests at %s: its "
                            "death will be noticed by its lease alone (service_down_time). Is there a firewall between "
                            "the hosts?", host, one.address)
            self.echo.send(one.address)

    def _answers(self, watched: _Watched) -> bool | None:
        if not watched.known or 1 < watched.unanswered < self._multiplier:
            return None
        # The answer to the last request is taken with the next one.
        return watched.unanswered <= 1

    def _report(self, host: str, watched: _Watched) -> None:
        LOG.warning("Host %s, which leads outside for routers, has not answered %d requests in a row", host,
                    watched.unanswered)
        watched.report_at = time.monotonic() + watched.pause_s
        watched.pause_s = min(2 * watched.pause_s, _LONGEST_PAUSE_S)
        try:
            self.on_silence(host)
        except errors.HostlerError as failure:
            LOG.warning("The conductors were not told that host %s is silent: %s", host, failure)

    def _run(self) -> None:
        while not self._closed.wait(self._interval_s):
            with self._lock:
                if not self._watched:
                    self.echo.close()
                    self._thread = None
                    return
            try:
                self.look()
            except Exception:
                # A thread that must outlive every failure.
                LOG.exception("Hosts that lead outside were not looked at")
        self.echo.close()
