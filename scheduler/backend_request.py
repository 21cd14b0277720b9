"""What is asked of the scheduler for a volume, and its answer: where it may be. Its size is its record's."""

from __future__ import annotations

import dataclasses
from typing import Any

from scheduler.message import Message


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendRequest(Message):
    """A request for one volume's back end.

    `backend_id` names the only back end allowed (a source is there), `backup_store` the store its node must reach.
    `hints` are the user's: `same_host` and `different_host` list volume ids, whose back ends the scheduler puts into
    `hint_backend_ids`. A `moving` volume stays where it is and claims a place besides, on other storage; with
    `may_stay` its present back end is the answer when it fulfils all the rest, and nothing is claimed. `patient` as in
    `scheduler.request.Request`.
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
    patient: bool = False
    # The scheduler's own completions from the records.
    size_gib: int = 0
    present_backend_id: str | None = None
    hint_backend_ids: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendChoice(Message):
    """The back end that was claimed; the volume's record names it then."""

    backend_id: str
    node: str
    backend: str
    zone: str
