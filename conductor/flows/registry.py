"""Operation kind → flow. The names are stored in operations: append only."""

from __future__ import annotations

from conductor.flows import (
    attach_volume,
    change_power,
    create_server,
    delete_server,
    detach_volume,
    network,
    update_server,
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
}
