"""Configuration: one module per option group, with its name and its options; `load` builds the whole.

No option is read at import time and there is no global: each process (and each test) builds its own `ConfigOpts`
and hands it down. oslo.messaging registers its metrics and tracing options on the global object only, so `load`
registers those groups on ours too.
"""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log as oslo_log
from oslo_messaging._metrics import client as metrics_client
from oslo_messaging._tracing import client as tracing_client
from oslo_messaging.notify.notifier import _notifier_opts
from oslo_messaging.transport import _transport_opts
from oslo_policy import opts as policy_opts

from hostler.conf import (
    api,
    audit,
    bus,
    compute,
    conductor,
    console,
    database,
    fake,
    host,
    identity,
    image,
    libvirt,
    network,
    quota,
    scheduler,
    volume,
)

GROUPS = (host, api, audit, bus, compute, conductor, console, database, fake, identity, image, libvirt, network, quota,
          scheduler, volume)


def load(argv: Sequence[str] = (), *, prog: str = "hostler", config_files: Sequence[str] | None = None,
         overrides: dict[str, object] | None = None, cli_opts: Sequence[cfg.Opt] = ()) -> cfg.ConfigOpts:
    """Return the configuration of one process.

    `argv` is what follows the program's name; `config_files` None looks in the usual places (`/etc/hostler`);
    `overrides` maps `group.option` (or `option`) to a value that wins over files. Raises `cfg.ConfigFileValueError`
    and its kin when a value does not fit.
    """
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    conf.register_opts(metrics_client.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(tracing_client.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(_transport_opts)
    conf.register_opts(_notifier_opts, group="oslo_messaging_notifications")
    policy_opts._register(conf)
    for module in GROUPS:
        conf.register_opts(module.OPTS, group=getattr(module, "GROUP", None))
    conf.register_cli_opts(cli_opts)
    files = None if config_files is None else list(config_files)
    conf(list(argv), project="hostler", prog=prog, default_config_files=files)
    for name, value in (overrides or {}).items():
        group, _, option = name.rpartition(".")
        conf.set_override(option, value, group or None)
    return conf
