"""The bus: RPC between services over oslo.messaging (RabbitMQ, or the in-memory broker of the all-in-one).

There is one `Bus` per process. A service offers one topic with one endpoint object; others reach it through that
service's `rpcapi`, which holds the `Client`. Errors of `hostler.errors` arrive with their class and no traceback.
A peer that does not respond raises `errors.Silent`, an unreachable broker `errors.BrokerSilent`; in both cases the call
may have taken effect, so every server method must tolerate being called twice. Who may send what:
`hostler.bus.senders`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent import futures
from types import MappingProxyType
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging.rpc.server import RPCServer
from oslo_messaging.server import _pool_opts

from hostler import errors
from hostler.bus import memory
from hostler.bus.connections import BROKER_ERRORS, ReplyQueue, limit_retries, wait_calmly
from hostler.bus.named import EXCHANGE, use_named_connections
from hostler.bus.senders import CONDUCTOR, AccessPolicy, Sender, VerifyingDispatcher, open_to
from hostler.context import RequestContext

_CLOSING_S = 10.0
_NOTHING: Mapping[str, Any] = MappingProxyType({})
# What oslo.messaging raises when the peer does not respond, or never offered its topic.
_PEER_SILENCE = (oslo_messaging.MessagingTimeout, oslo_messaging.MessageUndeliverable)


# Most methods are called by conductors only.
rpc_method = open_to(CONDUCTOR)


def _as_raised(error: errors.HostlerError) -> errors.HostlerError:
    """Return the error as the other end raised it (oslo.messaging makes a subclass whose text holds a traceback)."""
    family = type(error)
    if family.__name__.endswith("_Remote"):
        family = family.__mro__[1]
    return family(error.args[0], **error.fields)


class ContextSerializer(oslo_messaging.NoOpSerializer):
    """Sends the few values of a `RequestContext` that matter at the other end."""

    def serialize_context(self, ctxt: RequestContext) -> dict[str, Any]:
        """Return what travels."""
        return ctxt.to_wire()

    def deserialize_context(self, ctxt: dict[str, Any]) -> RequestContext:
        """Return the context at the other end.

        A verified agent (`VerifyingDispatcher`) acts for no user, whatever its message says.
        """
        sender = ctxt.get("sender")
        if not isinstance(sender, Sender) or sender.host is None:
            return RequestContext.from_wire(ctxt)
        context = RequestContext.system(str(ctxt.get("request_id")))
        context.operation_id, context.attempt = ctxt.get("operation_id"), ctxt.get("attempt", 0)
        context.agent = sender.host
        return context


class Client:
    """Reaches one topic at one version: `client.to(host).call(context, method, {"argument": value})`."""

    def __init__(self, bus: Bus, topic: str, version: str) -> None:
        self._conf = bus.conf.bus
        self._replies = bus.replies
        self._topic = topic
        target = oslo_messaging.Target(exchange=bus.exchange, topic=topic, version=version)
        # RabbitMQ drops messages for a topic that no service has offered yet (the fleet is starting, the broker lost
        # its queues), and the caller would wait for its timeout: have them returned instead.
        options = oslo_messaging.TransportOptions(at_least_once=True)
        self._client = oslo_messaging.get_rpc_client(bus.transport, target, serializer=ContextSerializer(),
                                                     transport_options=options)

    def to(self, server: str | None = None, *, long: bool = False, timeout_s: float | None = None) -> Peer:
        """Return the service on `server`, or any one of the topic's.

        A call is given `timeout_s` (default `bus.call_timeout`). A `long` one may take `bus.long_call_timeout` as long
        as the peer shows life.
        """
        options: dict[str, Any] = {"timeout": timeout_s or self._conf.call_timeout}
        if long:
            options = {"timeout": timeout_s or self._conf.long_call_timeout,
                       "call_monitor_timeout": self._conf.silence_timeout}
        if server is not None:
            options["server"] = server
        return Peer(self._client.prepare(**options, retry=0), f"The {self._topic} service", server, self._replies)


class Peer:
    """The receiver of calls and casts; arguments are passed as one mapping, so that any name is allowed."""

    def __init__(self, target: Any, part: str, host: str | None, replies: ReplyQueue) -> None:
        self._target = target
        self._part = part
        self._host = host
        self._replies = replies

    def call(self, context: RequestContext, method: str, arguments: Mapping[str, Any] = _NOTHING) -> Any:
        """Call and wait for the answer; raises `errors.Silent`, `errors.BrokerSilent`, or what the method raised."""
        self._replies.ensure()
        try:
            return self._target.call(context, method, **arguments)
        except _PEER_SILENCE as error:
            raise errors.Silent(part=self._part, host=self._host) from error
        except BROKER_ERRORS as error:
            raise errors.BrokerSilent() from error
        except errors.HostlerError as error:
            raise _as_raised(error) from None
        except oslo_messaging.RemoteError as error:
            if error.exc_type != oslo_messaging.UnsupportedVersion.__name__:
                raise
            raise errors.Incompatible(part=self._part, host=self._host) from error

    def cast(self, context: RequestContext, method: str, arguments: Mapping[str, Any] = _NOTHING) -> None:
        """Send without waiting; raises `errors.Silent` when nobody offers the topic, or `errors.BrokerSilent`."""
        try:
            self._target.cast(context, method, **arguments)
        except _PEER_SILENCE as error:
            raise errors.Silent(part=self._part, host=self._host) from error
        except BROKER_ERRORS as error:
            raise errors.BrokerSilent() from error


class Bus:
    """One process's connection to the broker."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        memory.install()
        wait_calmly()
        self.conf = conf
        conf.register_opts(_pool_opts)
        conf.set_default("executor_thread_pool_size", conf.bus.worker_threads)
        self.transport = oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=["hostler.errors"])
        self.exchange = self._verify_senders()
        limit_retries(self.transport._driver)
        self.replies = ReplyQueue(self.transport._driver)

    def client(self, topic: str, version: str) -> Client:
        """Return a client of `topic`."""
        return Client(self, topic, version)

    def server(self, topic: str, server: str, endpoint: object, version: str) -> oslo_messaging.MessageHandlingServer:
        """Return a server (not started) that offers `endpoint`'s `rpc_method`s on `topic`."""
        endpoint.target = oslo_messaging.Target(version=version)  # type: ignore[attr-defined]
        target = oslo_messaging.Target(exchange=self.exchange, topic=topic, server=server, version=version)
        dispatch = oslo_messaging.RPCDispatcher if self.exchange is None else VerifyingDispatcher
        made = RPCServer(self.transport, target, dispatch([endpoint], ContextSerializer(), AccessPolicy), "threading")
        # The threads of the library's pool check once a second whether to end, and each stop would wait for that.
        made._executor_cls = futures.ThreadPoolExecutor
        return made

    def _verify_senders(self) -> str | None:
        """Have every message name this process's broker user, if `verify_senders` is on.

        Returns the exchange to use then; None means oslo.messaging's default. Raises Invalid when the user is not one
        that belongs to a single service.
        """
        url = oslo_messaging.TransportURL.parse(self.conf)
        if not self.conf.bus.verify_senders or "memory" in url.transport:
            return None
        try:
            users = {Sender.of_user(host.username).user for host in url.hosts}
        except errors.Invalid as error:
            raise errors.Invalid(reason="[bus] verify_senders needs a user of one service in transport_url, made by "
                                        f"hostler-manage bus-user: {error}") from None
        if len(users) != 1:
            raise errors.Invalid(reason="[bus] verify_senders needs the same user for all hosts in transport_url.")
        use_named_connections(self.transport._driver, users.pop())
        return EXCHANGE

    def close(self) -> None:
        """Close the connections; clients made from this bus are dead afterwards."""
        # Without a broker, the library waits for the connection that it is about to close.
        closing = threading.Thread(target=self.transport.cleanup, name="bus-close", daemon=True)
        closing.start()
        closing.join(_CLOSING_S if self.replies.is_ready else 0.1)


__all__ = ["Bus", "Client", "ContextSerializer", "Peer", "open_to", "rpc_method"]
