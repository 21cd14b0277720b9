"""network.trace_packet: follows a packet from a port, for an operator who asks where it is dropped.

1. TracePacket   reads the records, asks the hosts of both ends what they have (nothing to undo)
"""

from __future__ import annotations

from conductor.flows.ends import reports
from conductor.procedure import in_order
from conductor.tasks.trace import TracePacket
from hostler.operations.kinds import network as kinds

PROCEDURE = in_order(kinds.TRACE_PACKET, [TracePacket], reports("report"))
