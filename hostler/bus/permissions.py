"""What each broker user may do on RabbitMQ: use its own queues, and send to the services it calls or answers.

Permissions are regular expressions on names of queues and exchanges; topic permissions are on the routing keys of
`hostler.bus.named.EXCHANGE`, to publish (write) and to bind a queue (read). A service has these queues, and nothing of
another's: `TOPIC` and `TOPIC.NAME`, on which it is called (an agent's topic is `compute.HOST` or `volume.NODE`), the
fanout exchange and queue that oslo.messaging makes beside them, and `reply.USER.<random>` for answers.

>>> permissions_of(Sender("api")).topic_write
'^(compute\\\\..+|conductor)$'
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from hostler.bus.named import EXCHANGE, REPLIES
from hostler.bus.senders import API, COMPUTE, CONDUCTOR, SCHEDULER, VOLUME, Sender

# Routing keys, besides its own, that a kind of service sends calls and answers to.
_CALLS: Final = {
    API: ("compute\\..+", "conductor"),
    CONDUCTOR: ("compute\\..+", "volume\\..+", "scheduler", "reply\\.(compute|volume)\\..+"),
    SCHEDULER: ("reply\\.conductor\\..+",),
    COMPUTE: ("conductor(\\..+)?", "reply\\.(api|conductor)\\..+"),
    VOLUME: ("conductor(\\..+)?", "reply\\.conductor\\..+"),
}


@dataclasses.dataclass(frozen=True)
class Permissions:
    """Regular expressions, all anchored."""

    configure: str
    write: str
    read: str
    topic_write: str
    topic_read: str


def permissions_of(sender: Sender) -> Permissions:
    """Return what the user of a service may do."""
    user, exchange = re.escape(sender.user), re.escape(EXCHANGE)
    bound = [f"{re.escape(REPLIES)}{user}\\.[0-9a-f]+"]
    fanout, sent = [], [*_CALLS[sender.kind]]
    if sender.kind != API:  # nobody calls the api
        bound.append(f"{user}(\\..+)?" if sender.host is None else f"{user}(\\.-)?")
        fanout.append(f"{user}_fanout(_[0-9a-f]+)?")
    if sender.host is not None:  # agents call themselves, to hear whether they hear
        sent += bound
    return Permissions(configure=_any_of(*bound, *fanout), write=_any_of(*bound, *fanout, exchange),
                       read=_any_of(*bound, *fanout, exchange), topic_write=_any_of(*sent), topic_read=_any_of(*bound))


def _any_of(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"
