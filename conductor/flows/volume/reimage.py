"""volume.reimage: a volume takes an image's content.

1. ReimageVolume   the node writes the content over the old one (nothing to undo, the old content is gone)

A volume in error stays so, as in the reference: the administrator who reimages it says when it is usable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.flows.ends import fails_as
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.node.volumes import ReimageVolume
from conductor.tasks.records import volumes
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume is as if made from the image."""
    volumes.remember_image(session, run.resource_id, run.arguments_of(kinds.REIMAGE).image_id,
                           results["reimaged"]["provider"])


# In error, since nobody knows what the volume holds then.
PROCEDURE = in_order(kinds.REIMAGE, [ReimageVolume], succeeded, fails_as(moves.VOLUME, volume_states.ERROR))
