"""The agent's two ends on the bus, its server and its client of the conductors, replaceable while the agent runs.

RabbitMQ can expire a queue while its connection stays healthy: the agent then gets no calls or no answers, and looks
dead to everybody but itself. No error is raised. So the heartbeat watches for silence (`hostler.agent.heartbeat`) and
rebuilds both ends on new connections, while the old ones finish their work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import oslo_messaging

from hostler import errors
from hostler.bus import Bus, Client
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
GIVE_UP_S = 10.0
# Time for each conductor asked in turn, and how many are asked: together less than the default service_down_time.
ANSWER_S = 2.5
TRIES = 6
# For a request that may honestly take long: a hung conductor costs the first wait only, a busy one gets the last.
LONG_ANSWERS_S = (5.0, 15.0, 60.0)
EXPLORE_EVERY = 3
NO_SERVER = "-"  # oslo.messaging requires a name below the topic; no host has this one

Conductor = TypeVar("Conductor")


class BusLink(Generic[Conductor]):
    """An agent's ends on the bus; each kind of agent derives its own, with what it tells the conductors.

    `topic` and `version` are what the agent serves; `make_conductor` makes its client of the conductors; `open_bus`
    makes a connection of the agent's own; None when `bus` is lent (the all-in-one) and cannot be renewed.
    """

    def __init__(self, host: str, topic: str, version: str, make_conductor: Callable[[Bus], Conductor], *,
                 bus: Bus | None = None, open_bus: Callable[[], Bus] | None = None) -> None:
        if bus is None and open_bus is None:
            raise errors.Internal("A bus link needs a bus or a way to open one.")
        self._host = host
        self._topic = topic
        self._version = version
        self._make_conductor = make_conductor
        self._open_bus = open_bus
        self._bus = bus
        self._endpoint: object | None = None
        self._server: oslo_messaging.MessageHandlingServer | None = None
        self._conductor: Conductor | None = None
        self._self_client: Client | None = None
        self._lock = threading.Lock()
        self._conductors: list[str] = []  # the one that answered last first
        self._asked = 0

    def open(self) -> None:
        """Make the client end."""
        with self._lock:
            self._attach(self._bus or self._new_bus())

    def serve(self, endpoint: object) -> None:
        """Start to receive calls."""
        with self._lock:
            self._endpoint = endpoint
            self._server = self._new_server()

    @property
    def conductor(self) -> Conductor:
        """The client of the conductors; raises Silent before `open`."""
        conductor = self._conductor
        if conductor is None:
            raise errors.BrokerSilent()
        return conductor

    def ask_until_answered(self, ask: Callable[[str | None, float], dict[str, Any]],
                           waits_s: Sequence[float] = (ANSWER_S,) * TRIES) -> dict[str, Any]:
        """Call `ask(conductor, timeout_s)` until a conductor answers, once for each of `waits_s`; its answer names it.

        The broker sends messages to the conductors in turn, including one that hangs: with two of them, half of the
        reports would get no answer, and the host would look down. So the one that answered last is asked first, then
        the other known ones, then (conductor None) any that the broker chooses; every third time that one comes first,
        to find new conductors. Answers to reports also name those that live: the broker may deal each search of one
        agent to the same conductor. Raises Silent when none answers. The request must be safe to repeat.
        """
        silence = errors.Silent(part="The conductor service")
        for asked, wait_s in zip(self._candidates(len(waits_s)), waits_s, strict=True):
            try:
                answer = ask(asked, wait_s)
            except errors.BrokerSilent:
                raise
            except errors.Silent as error:
                silence = error
                if asked is not None and asked in self._conductors:
                    LOG.warning("Conductor %s does not answer; asking another", asked)
                    self._conductors.remove(asked)
            else:
                self._remember(answer)
                return answer
        raise silence

    def _candidates(self, count: int) -> list[str | None]:
        self._asked += 1
        explore: list[str | None] = [None] if self._asked % EXPLORE_EVERY == 0 else []
        return [*explore, *self._conductors, *[None] * count][:count]

    def _remember(self, answer: dict[str, Any] | None) -> None:
        # One of an earlier release does not name itself.
        name = (answer or {}).get("conductor")
        if name is not None:
            others = [*self._conductors, *(answer or {}).get("conductors", ())]
            self._conductors = list(dict.fromkeys([name, *others]))[:TRIES]

    @property
    def answering(self) -> str | None:
        """The conductor that answered last; None while none has."""
        return self._conductors[0] if self._conductors else None

    @property
    def renewable(self) -> bool:
        """Whether `renew` can do anything."""
        return self._open_bus is not None

    def hears_itself(self, timeout_s: float = 15.0) -> bool:
        """Call this agent through the broker; return whether it answered."""
        if self._self_client is None or self._server is None:
            return True
        try:
            self._self_client.to(self._host, timeout_s=timeout_s).call(RequestContext.system(), "ping")
        except errors.Silent:
            return False
        return True

    def renew(self) -> None:
        """Rebuild both ends; the old server finishes what it works on and closes in the background."""
        if self._open_bus is None:
            return
        with self._lock:
            old_bus, old_server = self._bus, self._server
            self._attach(self._new_bus())
            if old_server is not None:
                self._server = self._new_server()
        LOG.warning("The connection to the bus was rebuilt")
        threading.Thread(target=_retire, args=(old_server, old_bus), name="old-bus", daemon=True).start()

    def stop_serving(self, timeout_s: float, give_up: Callable[[], None] | None = None) -> bool:
        """Take no more calls and wait for running ones; return whether all of them ended in time.

        `give_up` then aborts the remaining ones, which get a moment to answer their callers.
        """
        with self._lock:
            server, self._server = self._server, None
        if server is None:
            return True
        server.stop()
        waiter = threading.Thread(target=server.wait, name="bus-drain", daemon=True)
        waiter.start()
        waiter.join(timeout_s)
        if not waiter.is_alive():
            return True
        if give_up is not None:
            give_up()
            waiter.join(GIVE_UP_S)
        return False

    def close(self) -> None:
        """Close the connection when it is the agent's own."""
        with self._lock:
            if self._open_bus is not None and self._bus is not None:
                self._bus.close()

    def _attach(self, bus: Bus) -> None:
        self._bus = bus
        self._conductor = self._make_conductor(bus)
        self._self_client = bus.client(self._topic, self._version)

    def _new_bus(self) -> Bus:
        if self._open_bus is None:
            raise errors.Internal("A lent bus cannot be opened again.")
        return self._open_bus()

    def _new_server(self) -> oslo_messaging.MessageHandlingServer:
        if self._bus is None:
            raise errors.Internal("The bus link was not opened.")
        # A topic of its own: with a shared one, each agent could delete the queue of all.
        server = self._bus.server(f"{self._topic}.{self._host}", NO_SERVER, self._endpoint, self._version)
        server.start()
        return server


def _retire(server: oslo_messaging.MessageHandlingServer | None, bus: Bus | None) -> None:
    if server is not None:
        server.stop()
        server.wait()
    if bus is not None:
        bus.close()
