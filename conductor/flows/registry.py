"""Operation kind → flow. The names are stored in operations: append only."""

from __future__ import annotations

from conductor.flows import (
    attach_volume,
    audit,
    backups,
    change_power,
    connect_attachment,
    create_server,
    create_volume,
    delete_server,
    delete_volume,
    detach_volume,
    extend_volume,
    move_volume,
    network,
    revert_volume,
    snapshots,
    update_server,
    upload_volume,
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
