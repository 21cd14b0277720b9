"""Loads the configured filters and weighers by their entry points.

Refuses to start on a name that nothing provides, and says which names there are: a misspelt filter that is silently
left out would place servers where they must not be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oslo_config import cfg
from stevedore import ExtensionManager

from hostler import errors
from scheduler.backend_filters import BackendFilter
from scheduler.backend_plan import BackendSelector
from scheduler.backend_weighers import BackendWeigher
from scheduler.filters import Filter
from scheduler.plan import Selector
from scheduler.weighers import Weigher

FILTERS = "hostler.scheduler.filters"
WEIGHERS = "hostler.scheduler.weighers"
BACKEND_FILTERS = "hostler.scheduler.backend_filters"
BACKEND_WEIGHERS = "hostler.scheduler.backend_weighers"


def load_selector(conf: cfg.ConfigOpts) -> Selector:
    """Return the selector that `[scheduler]` describes; raises Invalid for an unknown name or a bad multiplier."""
    options = conf.scheduler
    filters: dict[str, Filter] = _load(FILTERS, options.filters)
    makers: dict[str, Weigher] = _load(WEIGHERS, options.weighers)
    weighers = {name: (makers[name], _multiplier(name, text)) for name, text in options.weighers.items()}
    return Selector(filters, weighers, subset_size=options.host_subset_size, ranked=options.max_claim_attempts)


def load_backend_selector(conf: cfg.ConfigOpts) -> BackendSelector:
    """As `load_selector`, for the back ends of volumes."""
    options = conf.scheduler
    filters: dict[str, BackendFilter] = _load(BACKEND_FILTERS, options.backend_filters)
    makers: dict[str, BackendWeigher] = _load(BACKEND_WEIGHERS, options.backend_weighers)
    return BackendSelector(filters, {name: (makers[name], _multiplier(name, text))
                                     for name, text in options.backend_weighers.items()})


def _load(group: str, names: Iterable[str]) -> dict[str, Any]:
    installed: Any = ExtensionManager(group)
    known = {extension.name: extension.plugin for extension in installed}
    for name in names:
        if name not in known:
            raise errors.Invalid(reason=f"[scheduler] names {name!r}, but {group} has only: "
                                        f"{', '.join(sorted(known)) or 'nothing (is Hostler installed?)'}")
    return {name: known[name]() for name in names}


def _multiplier(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise errors.Invalid(reason=f"[scheduler] weighers: {name}:{text} is not a number") from None
