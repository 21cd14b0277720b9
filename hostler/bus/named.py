"""Connections to RabbitMQ that name their user in every message and send answers through an exchange of topics.

oslo.messaging sends answers through the broker's default exchange, which delivers to any queue: a user who may answer
may then also send to every agent. Here answers go through the same topic exchange as calls, to queues
`reply.USER.<random>`, so that the permissions of a user (`hostler.bus.permissions`) say whom it may answer. The
exchange is one that every virtual host has, `amq.topic`: nobody declares it, so nobody needs the right to, which would
be the right to delete it. The price: this module knows the inside of oslo.messaging's driver.
"""

from __future__ import annotations

import functools
import logging
import uuid
from typing import Any, Final

import oslo_messaging
from oslo_messaging._drivers import impl_rabbit

LOG = logging.getLogger(__name__)

EXCHANGE: Final = "amq.topic"
REPLIES: Final = "reply."


class NamedConnection(impl_rabbit.Connection):
    """The driver's connection; the broker closes the channel over which another user is named."""

    def _set_current_channel(self, new_channel: Any) -> None:
        super()._set_current_channel(new_channel)
        if new_channel is not None:
            self._producer.publish = functools.partial(self._producer.publish, user_id=self.connection.userid)

    def declare_direct_consumer(self, topic: str, callback: Any) -> None:
        """Consume answers from a queue that is bound under its own name."""
        self.declare_consumer(impl_rabbit.Consumer(
            exchange_name=EXCHANGE, queue_name=topic, routing_key=topic, type="topic",
            durable=self.rabbit_transient_quorum_queue, exchange_auto_delete=False, queue_auto_delete=False,
            callback=callback, rabbit_ha_queues=self.rabbit_ha_queues,
            rabbit_queue_ttl=self.rabbit_transient_queues_ttl,
            enable_cancel_on_failover=self.enable_cancel_on_failover,
            rabbit_quorum_queue=self.rabbit_transient_quorum_queue,
            rabbit_quorum_queue_config=self.rabbit_quorum_queue_config))

    def direct_send(self, msg_id: str, msg: Any) -> None:
        """Send an answer; the caller named its queue, which may be no other kind of queue."""
        if not msg_id.startswith(REPLIES):
            LOG.warning("An answer to %s was dropped: it does not name a reply queue", msg_id)
            return
        self.topic_send(EXCHANGE, msg_id, msg, transport_options=oslo_messaging.TransportOptions(
            at_least_once=self.direct_mandatory_flag))


def use_named_connections(driver: Any, user: str) -> None:
    """Make `driver` connect this way from now on, and wait for answers on queues of `user`'s own."""
    driver._connection_pool.connection_cls = NamedConnection
    driver._get_reply_queue_name = lambda: f"{REPLIES}{user}.{uuid.uuid4().hex}"


__all__ = ["EXCHANGE", "REPLIES", "NamedConnection", "use_named_connections"]
