"""What all tasks that ask storage nodes share: specs from records, calls, and notes of what could not be removed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from conductor.run import Run
from hostler import errors
from hostler.operations import notes
from hostler.resources.volume.records import Place, place_of, place_of_volume, volume_spec
from hostler.resources.volume.specs import VolumeSpec

LOG = logging.getLogger(__name__)


def load_volume(run: Run, volume_id: str) -> tuple[VolumeSpec, Place]:
    """Return a volume's spec and where it is; raises Conflict when it is on no back end."""
    with run.reading() as session:
        spec = volume_spec(session, volume_id)
        place = place_of_volume(session, volume_id)
    assert place is not None
    return spec, place


def load_place(run: Run, backend_id: str) -> Place:
    """Return where a back end is."""
    with run.reading() as session:
        return place_of(session, backend_id)


def delete_at(run: Run, volume_id: str, backend_id: str) -> None:
    """Have a volume removed from one back end, wherever its record says it is; fine when it is not there."""
    with run.reading() as session:
        place = place_of(session, backend_id)
        spec = volume_spec(session, volume_id, backend=place.backend)
    run.ask_node(place.node, run.cloud.volumes.delete_volume, spec)


def delete_or_note(run: Run, volume_id: str, backend_id: str) -> None:
    """As `delete_at`; what cannot be removed now is noted, and the node told when it reconciles."""
    def note() -> None:
        run.write(lambda session: notes.write(session, run.held.id, notes.LEFT_ON, key=backend_id))

    tried(f"volume {volume_id} may be left on back end {backend_id}",
          lambda: delete_at(run, volume_id, backend_id), otherwise=note)


def tried(consequence: str, call: Callable[[], Any], otherwise: Callable[[], None] = lambda: None) -> None:
    """Make a call that undoes or cleans up; its failure, or a node silent past patience, is logged and goes on."""
    try:
        call()
    except (errors.AgentError, errors.Unavailable, errors.NotFound) as error:
        LOG.warning("%s: %s", consequence, error)
        otherwise()
