"""How other services speak to the conductors."""

from __future__ import annotations

from typing import Any

from hostler.bus import Bus
from hostler.context import RequestContext

TOPIC = "conductor"
RPC_VERSION = "2.0"


class ConductorAPI:
    """Client of the conductors; any of them may answer."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def run_operation(self, context: RequestContext, operation_id: str) -> None:
        """Wake one conductor for an accepted operation (cast; losing it only delays)."""
        self._client.to().cast(context, "run_operation", {"operation_id": operation_id})

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any], *, conductor: str | None = None,
                  timeout_s: float = 15) -> dict[str, Any]:
        """Report a compute agent's life and what its host offers.

        Returns {"accepted": bool, "conductor": who answered, "conductors": those that live, "fence_generation"};
        `conductor` asks one of them.
        """
        return self._client.to(conductor, timeout_s=timeout_s).call(  # type: ignore[no-any-return]
            context, "heartbeat", {"host": host, "report": report})

    def server_events(self, context: RequestContext, host: str, events: list[dict[str, Any]], *,
                      conductor: str | None = None, timeout_s: float = 15) -> dict[str, Any]:
        """Report what happened to servers, [{"server_id", "event", "power_state", "at", "revision", "number"}];
        returns {"conductor"}."""
        return self._client.to(conductor, timeout_s=timeout_s).call(  # type: ignore[no-any-return]
            context, "server_events", {"host": host, "events": events})

    def volumes_released(self, context: RequestContext, host: str, released: list[dict[str, Any]], *,
                         conductor: str | None = None, timeout_s: float = 15) -> dict[str, Any]:
        """Say that guests let go of volumes late: [{"server_id", "attachment_id"}]; returns {"conductor"}."""
        return self._client.to(conductor, timeout_s=timeout_s).call(  # type: ignore[no-any-return]
            context, "volumes_released", {"host": host, "released": released})

    def reconcile(self, context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int] | None = None, asides: list[str] | None = None, *,
                  conductor: str | None = None, timeout_s: float | None = None) -> dict[str, Any]:
        """Say what runs on a host [{"server_id", "power_state", "revision", "number", "fingerprint": of the records
        that its kept spec agrees with, or None}], the revisions of the security groups it knows, and the servers
        that it set aside for a move.

        Returns what to do about each: {"servers": [{"server_id", "action": keep|destroy|start|leave, "server":
        ServerSpec map, or None where the host has it, "fingerprint"}], "groups": members of those that are newer
        (`hostler.resources.network.port_specs.Groups`), "discard": [servers set aside whose move is over]}.
        """
        return self._client.to(conductor, timeout_s=timeout_s).call(context, "reconcile", {
            "host": host, "present": present, "known_groups": known_groups, "asides": asides})

    def group_members(self, context: RequestContext, host: str, known: dict[str, int | None], *,
                      conductor: str | None = None, timeout_s: float = 15) -> dict[str, Any]:
        """Return {"groups": {group id: what follows on from the revision that the host has, or from nothing (None)},
        "conductor"}; see `hostler.resources.network.port_specs.Groups`."""
        return self._client.to(conductor, timeout_s=timeout_s).call(  # type: ignore[no-any-return]
            context, "group_members", {"host": host, "known": known})

    def password_posted(self, context: RequestContext, host: str, server_id: str, password: str, *,
                        conductor: str | None = None) -> dict[str, Any]:
        """Keep the encrypted password that a guest posted; returns {"accepted"}: not when there is one already."""
        return self._client.to(conductor).call(  # type: ignore[no-any-return]
            context, "password_posted", {"host": host, "server_id": server_id, "password": password})

    def leader_silent(self, context: RequestContext, host: str, leader: str) -> None:
        """Say that a host which leads outside for routers of `host`'s guests no longer answers it (cast; repeated)."""
        self._client.to().cast(context, "leader_silent", {"host": host, "leader": leader})

    def volume_heartbeat(self, context: RequestContext, node: str, report: dict[str, Any], *,
                         conductor: str | None = None, timeout_s: float = 15) -> dict[str, Any]:
        """Report a volume agent's life and what its back ends offer; returns {"accepted", "conductor",
        "conductors"}.

        `report`: {"started_at", "availability_zone", "backup_store": id or None, "backends": [{"name", "driver",
        "total_gib", "free_gib", "reserved_percent", "over_subscription", "capabilities", "healthy",
        "unhealthy_reason"}], "connector": how the node reaches volumes of others (ConnectorSpec), or absent}.
        """
        return self._client.to(conductor, timeout_s=timeout_s).call(  # type: ignore[no-any-return]
            context, "volume_heartbeat", {"node": node, "report": report})

    def volume_reconcile(self, context: RequestContext, node: str, present: dict[str, Any], *,
                         conductor: str | None = None, timeout_s: float | None = None) -> dict[str, Any]:
        """Say what is on a node (`volume.rpcapi.VolumeAPI.get_inventory`); returns what to remove, all of it surely
        not wanted any more: {"volumes": [{"backend", "id"}], "snapshots": [{"backend", "id", "volume_id"}],
        "connections": [{"backend", "volume_id", "attachment_id"}], "backups": [ids]}."""
        return self._client.to(conductor, timeout_s=timeout_s).call(
            context, "volume_reconcile", {"node": node, "present": present})

    def report_progress(self, context: RequestContext, percent: int, *, timeout_s: float = 5) -> bool:
        """Say how far an agent is with the long step of the context's operation; returns whether it is still wanted."""
        answer = self._client.to(timeout_s=timeout_s).call(context, "report_progress", {"percent": percent})
        return answer is not False  # a conductor of an earlier release says nothing
