"""Finds the driver of each configured back end.

A driver is an entry point of `hostler.volume.drivers`: a function `build(backend: BackendConfig) -> Driver` in a module
that also offers `OPTS`, the driver's own options. They stand beside the common ones (`hostler.conf.volume`) in the
group `backend:<name>`; the values are `backend.options` once `build` is called. `build` only puts the driver
together: what may fail or take time belongs into the driver's `open`. The module can be imported on a machine that has
nothing of what the driver drives; only the drivers that some back end names are imported.

    OPTS = [cfg.StrOpt("directory", …)]

    def build(backend: BackendConfig) -> FileDriver:
        directory = backend.options.directory or backend.layout.volumes(backend.name)
        return FileDriver(backend.name, directory)
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from stevedore import DriverManager
from stevedore.exception import NoMatches

from hostler import errors
from hostler.agent.faults import Faults
from hostler.conf import volume as volume_conf
from volume.drivers.driver import Driver
from volume.layout import Layout

NAMESPACE = "hostler.volume.drivers"


@dataclasses.dataclass(frozen=True)
class BackendConfig:
    """What a driver is built from."""

    name: str  # of the back end, unique on its node
    node: str  # the agent's name in the cloud
    conf: cfg.ConfigOpts
    layout: Layout
    faults: Faults  # one per agent; the fake driver's steps go through it

    @property
    def options(self) -> Any:
        """The values of the group backend:<name>."""
        return self.conf[volume_conf.backend_group(self.name)]


Factory = Callable[[BackendConfig], Driver]


def driver_name(conf: cfg.ConfigOpts, backend: str) -> str:
    """Return the driver that a back end names."""
    group = volume_conf.backend_group(backend)
    conf.register_opts(volume_conf.BACKEND_OPTS, group=group)
    return str(conf[group].driver)


def load_driver(backend: BackendConfig) -> Driver:
    """Return the driver of one back end, not opened; raises AgentError with what to do."""
    name = driver_name(backend.conf, backend.name)
    group = volume_conf.backend_group(backend.name)
    try:
        found: Any = DriverManager(NAMESPACE, name)
    except (NoMatches, ImportError) as error:
        known = sorted({entry.name for entry in importlib.metadata.entry_points(group=NAMESPACE)})
        raise errors.AgentError(reason=f"[{group}] driver: '{name}' cannot be loaded ({error}). Drivers installed "
                                       f"here: {', '.join(known) or 'none (is Hostler installed?)'}.") from error
    factory: Factory = found.driver
    own = importlib.import_module(found.extensions[0].entry_point.module)
    backend.conf.register_opts(own.OPTS, group=group)
    return factory(backend)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) of a back end of each driver, for the sample configuration."""
    listed = []
    for entry in sorted(importlib.metadata.entry_points(group=NAMESPACE), key=lambda entry: entry.name):
        own = importlib.import_module(entry.module)
        example = "local" if entry.name == "file" else entry.name
        common = [copy.copy(option) for option in volume_conf.BACKEND_OPTS]
        for option in common:
            if option.name == "driver":
                option.sample_default = entry.name
        listed.append((volume_conf.backend_group(example), [*common, *own.OPTS]))
    return listed
