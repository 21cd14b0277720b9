"""Every filter and weigher by name, as setup.cfg declares them, so that these tests need no installed distribution."""

from __future__ import annotations

import configparser
import importlib
from pathlib import Path
from typing import Any

SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"


def _declared(group: str) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(SETUP)
    found = {}
    for line in parser["options.entry_points"][group].strip().splitlines():
        name, _, target = (part.strip() for part in line.partition("="))
        module, _, attribute = target.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)()
    return found


_FILTERS = _declared("hostler.scheduler.filters")
# In the default order.
ORDER = ("service_up", "availability_zone", "requested_host", "excluded_hosts", "capacity", "traits",
         "aggregate_extra_specs", "image_properties", "server_group", "same_host", "different_host")
FILTERS = {name: _FILTERS[name] for name in ORDER}
WEIGHERS = _declared("hostler.scheduler.weighers")
BACKEND_FILTERS = _declared("hostler.scheduler.backend_filters")
BACKEND_WEIGHERS = _declared("hostler.scheduler.backend_weighers")
