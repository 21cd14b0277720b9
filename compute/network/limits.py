"""Bandwidth limits of ports as nftables chains (pure functions).

The usual way is a queue on the tap device. It has to be made again whenever the device comes back (start, hot plug,
migration), and shares the device with the hypervisor's own limits. Here a guest's packets are counted as they enter the
bridge, those to it as they leave the bridge, and what is above the limit is dropped. So a limit is in force before the
first frame and changes with the rest of the filter. The price: nothing is delayed, so that TCP stays somewhat below the
limit, and the kernel's bucket holds a second's worth besides the burst.

>>> lines("egress", [LimitSpec(direction="egress", max_kbps=8)])
['limit rate over 1000 bytes/second burst 65536 bytes drop']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from compute.network import names
from hostler.resources.server.specs import LimitSpec, PortSpec

_BYTES_PER_KBIT: Final = 125
# The largest frame that a guest's device hands over in one piece: it must fit into the burst.
_FRAME: Final = 65536
# The kernel multiplies rate and burst by a second's nanoseconds, in 64 bits. Faster than any tap device.
_MOST: Final = 8_000_000_000
# Direction → what a port's packets are known by, and where they are counted: behind the check of their senders.
_HOOKS: Final = {"egress": ("iifname", "filter hook prerouting priority -290"),
                 "ingress": ("oifname", "filter hook postrouting priority 0")}


def lines(direction: str, limits: Sequence[LimitSpec]) -> list[str]:
    """Return the rules of one direction; a limit of 0 is none."""
    return [f"limit rate over {min(limit.max_kbps * _BYTES_PER_KBIT, _MOST)} bytes/second burst "
            f"{min(max(limit.max_burst_kbps * _BYTES_PER_KBIT, _FRAME), _MOST)} bytes drop"
            for limit in limits if limit.direction == direction and limit.max_kbps]


def chains(ports: Sequence[PortSpec]) -> list[str]:
    """Return the chains of a network's table in family bridge: one a port, reached by one look-up of the device."""
    found = []
    for direction, (field, hook) in _HOOKS.items():
        rules = {port.id: lines(direction, port.limits) for port in ports}
        limited = [port_id for port_id in rules if rules[port_id]]
        for port_id in limited:
            found += [f" chain limit_{direction}_{names.short_id(port_id)} {{", *(f"  {rule}" for rule in
                                                                                 rules[port_id]), " }"]
        if limited:
            jumps = ", ".join(f'"{names.tap_name(port_id)}" : jump limit_{direction}_{names.short_id(port_id)}'
                              for port_id in limited)
            found += [f" chain limits_{direction} {{", f"  type {hook}; policy accept;",
                      f"  {field} vmap {{ {jumps} }}", " }"]
    return found
