"""Options of the bus; oslo.messaging adds its own groups (transport_url, oslo_messaging_rabbit, …)."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "bus"

OPTS = [
    cfg.IntOpt("call_timeout", default=60, min=1, help="Seconds a short call between services may take."),
    cfg.IntOpt("long_call_timeout", default=1800, min=10,
               help="Seconds a long call (a boot with its image download) may take while its agent shows life."),
    cfg.IntOpt("silence_timeout", default=10, min=2,
               help="Seconds after which an agent that shows no life during a call counts as silent; the "
                    "operation is then handed back and tried again."),
    cfg.BoolOpt("verify_senders", default=False,
                help="Accept a message only from a service that may send it, by the broker user it names; agents only "
                     "speak of their own host. Needs the users that 'hostler-manage bus-user' makes, and the same "
                     "value in every service. Means nothing for the in-memory bus of the all-in-one."),
    cfg.IntOpt("worker_threads", default=64, min=1, help="Calls that one service handles at the same time."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
