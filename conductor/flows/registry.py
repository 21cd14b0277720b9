"""Operation kind → flow. The names are stored in operations: append only."""

from __future__ import annotations

from conductor.flows.cloud import audit
from conductor.flows.network import update as network
from conductor.flows.server import (
    attach_volume,
    detach_volume,
)
from conductor.flows.server import (
    create as create_server,
)
from conductor.flows.server import (
    delete as delete_server,
)
from conductor.flows.server import (
    power as change_power,
)
from conductor.flows.server import (
    update as update_server,
)
from conductor.flows.volume import (
    attachment as connect_attachment,
)
from conductor.flows.volume import (
    backup as backups,
)
from conductor.flows.volume import (
    create as create_volume,
)
from conductor.flows.volume import (
    delete as delete_volume,
)
from conductor.flows.volume import (
    extend as extend_volume,
)
from conductor.flows.volume import (
    move as move_volume,
)
from conductor.flows.volume import (
    revert as revert_volume,
)
from conductor.flows.volume import (
    snapshot as snapshots,
)
from conductor.flows.volume import (
    upload as upload_volume,
)
from conductor.kinds import Kind

KINDS: dict[str, Kind] = {
    "server.create": create_server.KIND,
    "server.delete": delete_server.KIND,
    **{f"server.{verb}": change_power.kind(verb) for verb in change_power.RESULT},
    "server.attach_volume": attach_volume.KIND,
    "server.detach_volume": detach_volume.KIND,
    "server.update": update_server.KIND,
    "network.apply_rules": network.APPLY_RULES,
    "network.update": network.UPDATE,
    "volume.create": create_volume.KIND,
    "volume.delete": delete_volume.KIND,
    "volume.extend": extend_volume.KIND,
    "volume.upload": upload_volume.KIND,
    "volume.retype": move_volume.RETYPE,
    "volume.migrate": move_volume.MIGRATE,
    "volume.revert": revert_volume.KIND,
    "snapshot.create": snapshots.CREATE,
    "snapshot.delete": snapshots.DELETE,
    "backup.create": backups.CREATE,
    "backup.delete": backups.DELETE,
    "backup.restore": backups.RESTORE,
    "attachment.connect": connect_attachment.CONNECT,
    "attachment.delete": connect_attachment.DELETE,
    "cloud.audit": audit.KIND,
}
