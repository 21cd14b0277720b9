"""Lists the options for oslo-config-generator, from which the samples under `etc/hostler` are made.

Called through the entry points `hostler` (every option), `hostler.agent` (what a compute agent reads: no
database, no identity, nothing else that a hypervisor must not know) and `hostler.volume` (what a volume agent reads,
as little; its back ends' options come from their drivers).
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from oslo_config import cfg

from hostler import conf
from hostler.conf import bus, compute, console, fake, host, libvirt, network, volume

AGENT_GROUPS = (host, bus, compute, libvirt, fake, network)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) for every module of `hostler.conf`."""
    return _collect(conf.GROUPS)


def list_agent_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) of what a compute agent reads."""
    return [*_collect(AGENT_GROUPS), (console.GROUP, list(console.AGENT_OPTS))]


def list_volume_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) of what a volume agent reads."""
    return [*_collect((host, bus)), (volume.GROUP, list(volume.AGENT_OPTS))]


def _collect(modules: Iterable[ModuleType]) -> list[tuple[str, list[cfg.Opt]]]:
    return [(getattr(module, "GROUP", "DEFAULT"), list(module.OPTS)) for module in modules]
