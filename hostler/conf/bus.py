"""Options of the bus; oslo.messaging adds its own groups (transport_url, oslo_messaging_rabbit, …)."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "bus"

OPTS = [
    cfg.IntOpt("call_timeout", default=60, min=1, help="Seconds a short call between services may take."),
    cfg.IntOpt("long_call_timeout", default=1800, min=10,
               help="Seconds a long call (a boot with its image download) may take while its agent responds."),
    cfg.IntOpt("silence_timeout", default=10, min=2,
               help="Seconds after which an agent that does not respond during a call counts as silent; the "
                    "operation is then handed back and tried again."),
    cfg.BoolOpt("verify_senders", default=False,
                help="Carry out a call only if its sender, a broker user, may make it; agents may only report about "
                     "their own host. Needs the users that 'hostler-manage bus-user' makes, and the same value in "
                     "every service. Has no effect on the in-memory bus of the all-in-one."),
    cfg.IntOpt("worker_threads", default=64, min=1, help="Calls that one service handles at the same time."),
]
