"""How other services speak to the compute agents.

Methods that change a server carry the operation and its attempt: an agent refuses an attempt older than one it has
seen (`errors.StaleAttempt`), and every call may be repeated. Power states are those of `compute.virt.driver`.
`groups` gives the members' addresses of the security groups that the ports' rules name, by group id.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostler.bus import Bus
from hostler.context import RequestContext
from hostler.resources.server.specs import AttachedSpec, NetworkSpec, PortSpec, ServerSpec

TOPIC = "compute"
RPC_VERSION = "1.1"

Groups = dict[str, list[str]]


class ComputeAPI:
    """Client of the compute agents; `host` names the agent."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def spawn_server(self, context: RequestContext, host: str, server: ServerSpec, operation_id: str,
                     attempt: int, groups: Groups | None = None) -> dict[str, Any]:
        """Make the server run; returns {"power_state", "launched": True}. Raises AgentError, StaleAttempt, Silent."""
        return self._client.call(context, "spawn_server", server=host, long=True, spec=server.to_wire(),
                                 operation_id=operation_id, attempt=attempt, groups=groups)

    def destroy_server(self, context: RequestContext, host: str, server_id: str, ports: Iterable[PortSpec],
                       operation_id: str, attempt: int) -> None:
        """Remove the server with its files and ports; fine when nothing is there."""
        self._client.call(context, "destroy_server", server=host, long=True, server_id=server_id,
                          ports=[port.to_wire() for port in ports], operation_id=operation_id, attempt=attempt)

    def start_server(self, context: RequestContext, host: str, server: ServerSpec, operation_id: str,
                     attempt: int, groups: Groups | None = None) -> dict[str, Any]:
        """Switch the server on, defined anew from `server`; returns {"power_state"}."""
        return self._client.call(context, "start_server", server=host, long=True, spec=server.to_wire(),
                                 operation_id=operation_id, attempt=attempt, groups=groups)

    def stop_server(self, context: RequestContext, host: str, server: ServerSpec, timeout_s: int | None,
                    operation_id: str, attempt: int) -> dict[str, Any]:
        """Shut the server down, by force after `timeout_s` (None: as the agent is configured); {"power_state"}."""
        return self._client.call(context, "stop_server", server=host, long=True, spec=server.to_wire(),
                                 patience_s=timeout_s, operation_id=operation_id, attempt=attempt)

    def reboot_server(self, context: RequestContext, host: str, server: ServerSpec, hard: bool, timeout_s: int | None,
                      operation_id: str, attempt: int, groups: Groups | None = None) -> dict[str, Any]:
        """Reboot; a soft reboot turns hard after `timeout_s`; returns {"power_state"}."""
        return self._client.call(context, "reboot_server", server=host, long=True, spec=server.to_wire(), hard=hard,
                                 patience_s=timeout_s, operation_id=operation_id, attempt=attempt, groups=groups)

    def pause_server(self, context: RequestContext, host: str, server_id: str, operation_id: str,
                     attempt: int) -> dict[str, Any]:
        """Freeze in memory; returns {"power_state"}."""
        return self._change(context, host, "pause_server", server_id, operation_id, attempt)

    def unpause_server(self, context: RequestContext, host: str, server_id: str, operation_id: str,
                       attempt: int) -> dict[str, Any]:
        """Undo pause; returns {"power_state"}."""
        return self._change(context, host, "unpause_server", server_id, operation_id, attempt)

    def suspend_server(self, context: RequestContext, host: str, server_id: str, operation_id: str,
                       attempt: int) -> dict[str, Any]:
        """Save memory to disk and switch off; returns {"power_state"}."""
        return self._change(context, host, "suspend_server", server_id, operation_id, attempt)

    def resume_server(self, context: RequestContext, host: str, server_id: str, operation_id: str,
                      attempt: int) -> dict[str, Any]:
        """Undo suspend; returns {"power_state"}."""
        return self._change(context, host, "resume_server", server_id, operation_id, attempt)

    def attach_volume(self, context: RequestContext, host: str, server_id: str, volume: AttachedSpec,
                      operation_id: str, attempt: int) -> None:
        """Give the server a volume, at once when it runs; fine when it has it. Raises AgentError."""
        self._client.call(context, "attach_volume", server=host, long=True, server_id=server_id,
                          volume=volume.to_wire(), operation_id=operation_id, attempt=attempt)

    def detach_volume(self, context: RequestContext, host: str, server_id: str, volume_id: str, timeout_s: int,
                      operation_id: str, attempt: int) -> None:
        """Take a volume from the server; fine when it has not got it, or is not there.

        Raises AgentError when the guest did not let go within `timeout_s` seconds: it has the volume still.
        """
        self._client.call(context, "detach_volume", server=host, long=True, server_id=server_id, volume_id=volume_id,
                          patience_s=timeout_s, operation_id=operation_id, attempt=attempt)

    def resize_volume(self, context: RequestContext, host: str, server_id: str, volume_id: str, size_bytes: int,
                      operation_id: str, attempt: int) -> None:
        """Let the running server see that a volume grew to `size_bytes` (the host grows a shared file itself).

        Fine when the server is off. Raises AgentError where QEMU cannot (NBD).
        """
        self._client.call(context, "resize_volume", server=host, long=True, server_id=server_id, volume_id=volume_id,
                          size_bytes=size_bytes, operation_id=operation_id, attempt=attempt)

    def get_inventory(self, context: RequestContext, host: str) -> dict[str, Any]:
        """Return what is really there: {"servers": {id: {"power_state", "volumes": [ids]}}}."""
        return self._client.call(context, "get_inventory", server=host, long=True)  # type: ignore[no-any-return]

    def get_console_output(self, context: RequestContext, host: str, server_id: str, length: int | None) -> str:
        """Return the last `length` lines of the console log (None: all that one answer carries)."""
        return self._client.call(context, "get_console_output", server=host, server_id=server_id, length=length)

    def get_diagnostics(self, context: RequestContext, host: str, server_id: str) -> dict[str, Any]:
        """Return the guest's counters. Raises NotFound when it is not defined there."""
        return self._client.call(context, "get_diagnostics", server=host, server_id=server_id)

    def update_server(self, context: RequestContext, host: str, server: ServerSpec,
                      groups: Groups | None = None) -> None:
        """Refresh what the guest may ask about itself (name, metadata); nothing when the server is not there."""
        self._client.call(context, "update_server", server=host, long=True, spec=server.to_wire(), groups=groups)

    def apply_port_rules(self, context: RequestContext, host: str, ports: Iterable[PortSpec],
                         groups: Groups | None = None) -> None:
        """Put the ports' security group rules into force."""
        self._client.call(context, "apply_port_rules", server=host, long=True, ports=[port.to_wire() for port in ports],
                          groups=groups)

    def update_groups(self, context: RequestContext, host: str, groups: Groups) -> None:
        """Put the groups' members into force; for when no rule and no port is another."""
        self._client.call(context, "update_groups", server=host, long=True, groups=groups)

    def update_network(self, context: RequestContext, host: str, network: NetworkSpec,
                       ports: Iterable[PortSpec], groups: Groups | None = None) -> None:
        """Put a network's changed subnets into force for the ports on the host."""
        self._client.call(context, "update_network", server=host, long=True, network=network.to_wire(),
                          ports=[port.to_wire() for port in ports], groups=groups)

    def get_host_report(self, context: RequestContext, host: str) -> dict[str, Any]:
        """Return what the host's heartbeat says, now."""
        return self._client.call(context, "get_host_report", server=host)

    def _change(self, context: RequestContext, host: str, method: str, server_id: str, operation_id: str,
                attempt: int) -> dict[str, Any]:
        return self._client.call(context, method, server=host, long=True, server_id=server_id,
                                 operation_id=operation_id, attempt=attempt)
