"""Who sent a message, as the broker vouches, and which methods each kind of service may call.

Each service logs in to the broker as a user of its own, `conductor`, `api`, `scheduler`, `compute.HOST` or
`volume.NODE` (`hostler-manage bus-user`), and names it in every message; the broker refuses a message that names
another. With `[bus] verify_senders` a server carries out a call only if

- the method is open to the sender's kind (`open_to`), and
- an agent reports about its own host: an argument `host` or `node` must be the sender's.

The memory bus has no users: all its senders are in the same process.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import oslo_messaging

from hostler import errors

LOG = logging.getLogger(__name__)
Method = TypeVar("Method", bound=Callable[..., Any])

API: Final = "api"
CONDUCTOR: Final = "conductor"
SCHEDULER: Final = "scheduler"
COMPUTE: Final = "compute"
VOLUME: Final = "volume"

# The agents: one user a host, and the argument by which their messages name it.
OWN_ARGUMENT: Final = {COMPUTE: "host", VOLUME: "node"}
KINDS: Final = (API, CONDUCTOR, SCHEDULER, *OWN_ARGUMENT)
# Without what has a meaning in routing keys or URLs.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,198}[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Sender:
    """A kind of service; for an agent, together with its host."""

    kind: str
    host: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise errors.Invalid(reason=f"'{self.kind}' is not a kind of service; there are {', '.join(KINDS)}.")
        if self.kind not in OWN_ARGUMENT:
            if self.host is not None:
                raise errors.Invalid(reason=f"All {self.kind} services share one broker user: name no host.")
        elif self.host is None:
            raise errors.Invalid(reason=f"Each {self.kind} agent has a broker user of its own: name the host.")
        elif not _HOST.fullmatch(self.host) or "_fanout" in self.host:
            raise errors.Invalid(reason=f"'{self.host}' cannot be the host of a broker user: letters, digits, '.', '_' "
                                        "and '-', at most 200 of them, without '_fanout'.")

    @property
    def user(self) -> str:
        """The name of its broker user."""
        return self.kind if self.host is None else f"{self.kind}.{self.host}"

    @classmethod
    def of_user(cls, user: str | None) -> Sender:
        """Return the service a broker user is for; raises Invalid when it is not a user of one service."""
        kind, _, host = (user or "").partition(".")
        return cls(kind, host or None)


def open_to(*kinds: str) -> Callable[[Method], Method]:
    """Mark an endpoint's method as callable over the bus by services of these kinds; Hostler's errors then cross
    declared and unlogged."""
    def mark(method: Method) -> Method:
        wrapped = oslo_messaging.expected_exceptions(errors.HostlerError)(method)
        wrapped.senders = frozenset(kinds)
        wrapped.arguments = frozenset(inspect.signature(method).parameters)
        return wrapped  # type: ignore[no-any-return]

    return mark


class AccessPolicy(oslo_messaging.RPCAccessPolicyBase):
    """Only methods marked with `open_to` can be called."""

    def is_allowed(self, endpoint: object, method: str) -> bool:
        """Return whether `method` is marked."""
        return hasattr(getattr(endpoint, method, None), "senders")


class VerifyingDispatcher(oslo_messaging.RPCDispatcher):
    """Refuses calls that their sender may not make."""

    def dispatch(self, incoming: Any) -> Any:
        """Call the method, with the sender in the context; the caller gets SenderRefused otherwise."""
        user, method = user_of(incoming.message), str(incoming.message.get("method"))
        try:
            incoming.ctxt["sender"] = self._admit(user, method, incoming.message.get("args") or {})
        except errors.SenderRefused as error:
            LOG.warning("%s", error)
            raise oslo_messaging.ExpectedException() from error
        return super().dispatch(incoming)

    def _admit(self, user: str | None, method: str, arguments: Mapping[str, Any]) -> Sender:
        try:
            sender = Sender.of_user(user)
        except errors.Invalid:
            raise errors.SenderRefused(sender=user or "An unnamed sender", method=method) from None
        endpoint: Any = getattr(self.endpoints[0], method, None)
        own = OWN_ARGUMENT.get(sender.kind, "")
        # AccessPolicy refuses what is not marked, in words that tell another release from a wrong sender.
        if hasattr(endpoint, "senders") and (sender.kind not in endpoint.senders or (
                own in endpoint.arguments and arguments.get(own) != sender.host)):
            raise errors.SenderRefused(sender=user, method=method)
        return sender


def user_of(message: Any) -> str | None:
    """Return the broker user that a received message names."""
    raw = getattr(message, "_raw_message", None)
    return raw.properties.get("user_id") if raw is not None else None


__all__ = ["API", "COMPUTE", "CONDUCTOR", "KINDS", "OWN_ARGUMENT", "SCHEDULER", "VOLUME", "AccessPolicy", "Sender",
           "VerifyingDispatcher", "open_to", "user_of"]
