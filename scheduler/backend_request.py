"""What is asked of the scheduler for a volume: where it may be. Its size is its record's."""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler.resources.server.specs import Spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendRequest(Spec):
    """A request for one volume's back end; travels as a plain map (`to_wire`, `from_wire`).

    `backend_id` names the only back end allowed (a source is there), `backup_store` the store its node must reach.
    `hints` are the user's: `same_host` and `different_host` list volume ids, whose back ends the scheduler puts into
    `hint_backend_ids`. A `moving` volume stays where it is and claims a place besides, on other storage; with
    `may_stay` its present back end is the answer when it fulfils all the rest, and nothing is claimed.
    """

    volume_id: str
    zone: str | None = None
    extra_specs: dict[str, Any] = dataclasses.field(default_factory=dict)
    multiattach: bool = False
    backend_id: str | None = None
    excluded_backends: tuple[str, ...] = ()
    backup_store: str | None = None
    moving: bool = False
    may_stay: bool = False
    hints: dict[str, Any] = dataclasses.field(default_factory=dict)
    # The scheduler's own completions from the records.
    size_gib: int = 0
    present_backend_id: str | None = None
    hint_backend_ids: dict[str, list[str]] = dataclasses.field(default_factory=dict)
