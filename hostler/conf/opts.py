"""Lists the options for oslo-config-generator, from which the samples under `etc/hostler` are made.

Called through the entry points `hostler` (every option) and `hostler.agent` (what a compute agent reads: no
database, no identity, nothing else that a hypervisor must not know).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from oslo_config import cfg

from hostler import conf
from hostler.conf import bus, compute, fake, host, libvirt, network

AGENT_GROUPS = (host, bus, compute, libvirt, fake, network)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) for every module of `hostler.conf`."""
    return _collect(conf.GROUPS)


def list_agent_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) of what a compute agent reads."""
    return _collect(AGENT_GROUPS)


def _collect(modules: Iterable[ModuleType]) -> list[tuple[str, list[cfg.Opt]]]:
    return [(getattr(module, "GROUP", "DEFAULT"), list(module.OPTS)) for module in modules]
