"""server.rebuild: a server's disks are made again from an image; it keeps its id, host, addresses and volumes.

1. RebuildServer   the agent removes guest and disks, and builds both again (nothing to undo)

When the volume that it boots from is to hold the image, before that:

0a. StopServer          the agent shuts the guest down (nothing to undo)
0b. DisconnectVolume    the node no longer lets the host in (revert: it does again)
0c. ReimageBootVolume   the node writes the image's content over the old one (nothing to undo)
0d. ConnectVolume       the node lets the host in again (revert: no longer, see 0b)

What the server is to be (image, metadata, keys, …) is written when the operation is accepted, so a rebuild that fails
leaves a server in error that the next rebuild, or a hard reboot, makes whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.flows.ends import fails_as
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.rebuild import RebuildServer
from conductor.tasks.host.servers import ChangePower
from conductor.tasks.node.attachments import ConnectVolume, DisconnectVolume
from conductor.tasks.node.volumes import ReimageBootVolume
from conductor.tasks.records import volumes
from hostler import clock
from hostler.operations.kinds import server as kinds
from hostler.resources.server import states
from hostler.resources.server.moves import SERVER, move


def build(reimages: bool) -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("server.rebuild")
    if reimages:
        flow.add(ChangePower("stop", provides="guest_before"), DisconnectVolume(), ReimageBootVolume(),
                 ConnectVolume())
    return flow.add(RebuildServer())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server runs, or is off as it was before."""
    arguments = run.arguments_of(kinds.REBUILD)
    if arguments.volume_id is not None and arguments.image_id is not None:
        volumes.remember_image(session, arguments.volume_id, arguments.image_id, results["reimaged"]["provider"])
    move(session, run.resource_id, states.STOPPED if arguments.stopped else states.ACTIVE, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None})


PROCEDURE = Procedure(kinds.REBUILD, build, succeeded, fails_as(SERVER, states.ERROR),
                      shape=lambda run: (run.arguments_of(kinds.REBUILD).image_id is not None,))
