"""The bus: RPC between services over oslo.messaging (RabbitMQ, or the in-memory broker of the all-in-one).

One `Bus` a process. A service offers one topic with one endpoint object; others reach it through that service's
`rpcapi`, which holds the `Client`. Errors of `hostler.errors` cross as themselves and without traceback; a peer that
shows no life raises `errors.Silent`, and the call may or may not have had its effect: every server method must be
safe to receive twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import oslo_messaging
from oslo_config import cfg
from oslo_messaging.server import _pool_opts

from hostler import errors
from hostler.bus import memory
from hostler.context import RequestContext

Method = TypeVar("Method", bound=Callable[..., Any])

# What oslo.messaging raises when a peer or the broker is away.
_SILENCE = (oslo_messaging.MessagingTimeout, oslo_messaging.MessageDeliveryFailure,
            oslo_messaging.MessageUndeliverable)


def rpc_method(method: Method) -> Method:
    """Mark a method as callable over the bus; Hostler's errors then cross declared and unlogged."""
    wrapped = oslo_messaging.expected_exceptions(errors.HostlerError)(method)
    wrapped.exposed = True
    return wrapped


class _AccessPolicy(oslo_messaging.RPCAccessPolicyBase):
    def is_allowed(self, endpoint: object, method: str) -> bool:
        return bool(getattr(getattr(endpoint, method, None), "exposed", False))


def _as_raised(error: errors.HostlerError) -> errors.HostlerError:
    """Return the error as the other end raised it (oslo.messaging makes a subclass whose text holds a traceback)."""
    family = type(error)
    if family.__name__.endswith("_Remote"):
        family = family.__mro__[1]
    return family(error.args[0], **error.fields)


class ContextSerializer(oslo_messaging.NoOpSerializer):
    """Carries a `RequestContext` as the few values that matter."""

    def serialize_context(self, ctxt: RequestContext) -> dict[str, Any]:
        """Return what travels."""
        return ctxt.to_wire()

    def deserialize_context(self, ctxt: dict[str, Any]) -> RequestContext:
        """Return the context at the other end."""
        return RequestContext.from_wire(ctxt)


class Client:
    """Calls to one topic at one version."""

    def __init__(self, bus: Bus, topic: str, version: str) -> None:
        self._bus = bus
        self._topic = topic
        target = oslo_messaging.Target(topic=topic, version=version)
        # A broker drops what is sent to a service that never offered its topic (the fleet is just starting, the broker
        # lost its queues), and the caller would wait in vain: it is to say so at once.
        options = oslo_messaging.TransportOptions(at_least_once=True)
        self._client = oslo_messaging.get_rpc_client(bus.transport, target, serializer=ContextSerializer(),
                                                     transport_options=options)

    def call(self, context: RequestContext, method: str, *, server: str | None = None, long: bool = False,
             timeout_s: float | None = None, **arguments: Any) -> Any:
        """Call and wait for the answer.

        `long` calls may take `bus.long_call_timeout` as long as the peer shows life; others `timeout_s` or
        `bus.call_timeout`. Raises `errors.Silent`, or what the method raised.
        """
        conf = self._bus.conf.bus
        options: dict[str, Any] = {"timeout": timeout_s or conf.call_timeout}
        if long:
            options = {"timeout": timeout_s or conf.long_call_timeout, "call_monitor_timeout": conf.silence_timeout}
        if server is not None:
            options["server"] = server
        try:
            return self._client.prepare(**options, retry=0).call(context, method, **arguments)
        except _SILENCE as error:
            raise errors.Silent(part=self._part(server)) from error
        except OSError as error:
            raise errors.Silent(part="The message broker") from error
        except errors.HostlerError as error:
            raise _as_raised(error) from None

    def cast(self, context: RequestContext, method: str, *, server: str | None = None, fanout: bool = False,
             **arguments: Any) -> None:
        """Send and go on; raises `errors.Silent` when the broker takes no message."""
        options: dict[str, Any] = {"fanout": True} if fanout else {}
        if server is not None:
            options["server"] = server
        try:
            self._client.prepare(**options, retry=0).cast(context, method, **arguments)
        except (*_SILENCE, OSError) as error:
            raise errors.Silent(part="The message broker") from error

    def _part(self, server: str | None) -> str:
        return f"The {self._topic} service" + (f" on {server}" if server else "")


class Bus:
    """One process's connection to the broker."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        memory.install()
        self.conf = conf
        conf.register_opts(_pool_opts)
        conf.set_default("executor_thread_pool_size", conf.bus.worker_threads)
        self.transport = oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=["hostler.errors"])

    def client(self, topic: str, version: str) -> Client:
        """Return a client of `topic`."""
        return Client(self, topic, version)

    def server(self, topic: str, server: str, endpoint: object, version: str) -> oslo_messaging.MessageHandlingServer:
        """Return a server (not started) that offers `endpoint`'s `rpc_method`s on `topic`."""
        endpoint.target = oslo_messaging.Target(version=version)  # type: ignore[attr-defined]
        target = oslo_messaging.Target(topic=topic, server=server, version=version)
        return oslo_messaging.get_rpc_server(self.transport, target, [endpoint], executor="threading",
                                             serializer=ContextSerializer(), access_policy=_AccessPolicy)

    def close(self) -> None:
        """Close the connections; clients made from this bus are dead afterwards."""
        self.transport.cleanup()


__all__ = ["Bus", "Client", "ContextSerializer", "rpc_method"]
