"""How other services speak to the compute agents; `host` names the agent.

A call that changes a server names its operation and attempt in its context: an agent refuses an attempt older than
one it has seen (`errors.StaleAttempt`). Every call may be repeated; all may raise AgentError, StaleAttempt and Silent.
Power states are those of `compute.virt.driver`. `groups` are the members of the security groups that the ports'
rules name (`hostler.resources.network.port_specs.Groups`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hostler.bus import Bus, Peer
from hostler.context import RequestContext
from hostler.resources.server.specs import AttachedSpec, ImageSpec, NetworkSpec, PortSpec, ServerSpec
from hostler.resources.volume.specs import UploadSpec

TOPIC = "compute"
RPC_VERSION = "2.0"
COPY_TIMEOUT_S = 7 * 24 * 3600.0

Groups = dict[str, dict[str, Any]]
Power = dict[str, Any]  # {"power_state": state}


class ComputeAPI:
    """Client of the compute agents."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def spawn_server(self, context: RequestContext, host: str, server: ServerSpec,
                     groups: Groups | None = None) -> Power:
        """Make the server run."""
        return self._agent(host).call(context, "spawn_server", {"spec": server.to_wire(), "groups": groups})

    def prepare_server(self, context: RequestContext, host: str, server: ServerSpec,
                       groups: Groups | None = None) -> Power:
        """Make all that the server needs but do not start it; one that runs there is switched off."""
        return self._agent(host).call(context, "prepare_server", {"spec": server.to_wire(), "groups": groups})

    def destroy_server(self, context: RequestContext, host: str, server_id: str, ports: Iterable[PortSpec]) -> None:
        """Remove the server with its files and ports; fine when nothing is there."""
        self._agent(host).call(context, "destroy_server", {"server_id": server_id, "ports": _wire(ports)})

    def start_server(self, context: RequestContext, host: str, server: ServerSpec,
                     groups: Groups | None = None) -> Power:
        """Switch the server on, defined from `server`."""
        return self._agent(host).call(context, "start_server", {"spec": server.to_wire(), "groups": groups})

    def stop_server(self, context: RequestContext, host: str, server: ServerSpec, timeout_s: int | None) -> Power:
        """Shut the server down, by force after `timeout_s` (None: as the agent is configured)."""
        return self._agent(host).call(context, "stop_server", {"spec": server.to_wire(), "timeout_s": timeout_s})

    def reboot_server(self, context: RequestContext, host: str, server: ServerSpec, hard: bool, timeout_s: int | None,
                      groups: Groups | None = None) -> Power:
        """Reboot; a soft reboot turns hard after `timeout_s`."""
        return self._agent(host).call(context, "reboot_server", {
            "spec": server.to_wire(), "hard": hard, "timeout_s": timeout_s, "groups": groups})

    def pause_server(self, context: RequestContext, host: str, server: ServerSpec) -> Power:
        """Freeze in memory."""
        return self._agent(host).call(context, "pause_server", {"spec": server.to_wire()})

    def unpause_server(self, context: RequestContext, host: str, server: ServerSpec) -> Power:
        """Undo pause."""
        return self._agent(host).call(context, "unpause_server", {"spec": server.to_wire()})

    def suspend_server(self, context: RequestContext, host: str, server: ServerSpec) -> Power:
        """Save memory to disk and switch off."""
        return self._agent(host).call(context, "suspend_server", {"spec": server.to_wire()})

    def resume_server(self, context: RequestContext, host: str, server: ServerSpec) -> Power:
        """Undo suspend."""
        return self._agent(host).call(context, "resume_server", {"spec": server.to_wire()})

    def rescue_server(self, context: RequestContext, host: str, server: ServerSpec,
                      groups: Groups | None = None) -> Power:
        """Shut the guest down and run the rescue disk that `server.rescue` names."""
        return self._agent(host).call(context, "rescue_server", {"spec": server.to_wire(), "groups": groups})

    def unrescue_server(self, context: RequestContext, host: str, server: ServerSpec, start: bool,
                        groups: Groups | None = None) -> Power:
        """Shut the rescue guest down and put the guest back as it was before, off unless `start`."""
        return self._agent(host).call(context, "unrescue_server", {
            "spec": server.to_wire(), "start": start, "groups": groups})

    def attach_volume(self, context: RequestContext, host: str, server_id: str, volume: AttachedSpec) -> None:
        """Give the server a volume, at once when it runs; fine when it has it."""
        self._agent(host).call(context, "attach_volume", {"server_id": server_id, "volume": volume.to_wire()})

    def detach_volume(self, context: RequestContext, host: str, server_id: str, volume_id: str,
                      timeout_s: int) -> None:
        """Take a volume from the server; fine when it has not got it, or is not there.

        Raises AgentError when the guest did not let go within `timeout_s` seconds: it has the volume still.
        """
        self._agent(host).call(context, "detach_volume", {
            "server_id": server_id, "volume_id": volume_id, "timeout_s": timeout_s})

    def resize_volume(self, context: RequestContext, host: str, server_id: str, volume_id: str,
                      size_bytes: int) -> None:
        """Let the running server see that a volume grew to `size_bytes` (the host grows a shared file itself).

        Fine when the server is off. Raises AgentError where QEMU cannot (NBD).
        """
        self._agent(host).call(context, "resize_volume", {
            "server_id": server_id, "volume_id": volume_id, "size_bytes": size_bytes})

    def attach_interface(self, context: RequestContext, host: str, server_id: str, port: PortSpec,
                         groups: Groups | None = None) -> None:
        """Give the server a NIC, at once when it runs; fine when it has it."""
        self._agent(host).call(context, "attach_interface", {
            "server_id": server_id, "port": port.to_wire(), "groups": groups})

    def detach_interface(self, context: RequestContext, host: str, server_id: str, port: PortSpec,
                         timeout_s: int) -> None:
        """Take a NIC from the server; fine when it has not got it, or is not there.

        Raises AgentError when the guest did not let go within `timeout_s` seconds: it has the NIC still.
        """
        self._agent(host).call(context, "detach_interface", {
            "server_id": server_id, "port": port.to_wire(), "timeout_s": timeout_s})

    def attach_iso(self, context: RequestContext, host: str, server_id: str, iso: ImageSpec) -> None:
        """Put an ISO into the server's CD-ROM drive; fine when it is there."""
        self._client.to(host, long=True).call(context, "attach_iso", {"server_id": server_id, "iso": iso.to_wire()})

    def detach_iso(self, context: RequestContext, host: str, server_id: str) -> None:
        """Empty the server's drive; fine when it is empty. Raises AgentError when the guest keeps the tray locked."""
        self._agent(host).call(context, "detach_iso", {"server_id": server_id})

    def rebuild_server(self, context: RequestContext, host: str, server: ServerSpec, start: bool,
                       groups: Groups | None = None) -> Power:
        """Replace the server's disks, from `server`'s image, and its guest; it is off afterwards unless `start`."""
        return self._agent(host).call(context, "rebuild_server", {
            "spec": server.to_wire(), "start": start, "groups": groups})

    def upload_server(self, context: RequestContext, host: str, server_id: str, upload: UploadSpec) -> None:
        """Send what the server's root disk holds now, as a qcow2, to the image store; a running guest goes on."""
        self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "upload_server", {
            "server_id": server_id, "upload": upload.to_wire()})

    def discard_upload(self, context: RequestContext, host: str, server_id: str) -> None:
        """Remove what an upload that failed left on the host; fine when there is nothing."""
        self._agent(host).call(context, "discard_upload", {"server_id": server_id})

    def set_server_aside(self, context: RequestContext, host: str, server: ServerSpec, to_host: str,
                         timeout_s: int) -> dict[str, Any]:
        """Switch the server off, take it out of the host, and offer its files to `to_host`: {"host", "ip", "port",
        "files": [{"name", "size", "sha256"}], "base": one of these, or None}."""
        return self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "set_server_aside", {
            "spec": server.to_wire(), "to_host": to_host, "timeout_s": timeout_s})

    def take_server_in(self, context: RequestContext, host: str, server: ServerSpec, offer: dict[str, Any],
                       running: bool, groups: Groups | None = None) -> Power:
        """Fetch what was offered, fit it to the server's flavor, and start it when `running`."""
        return self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "take_server_in", {
            "spec": server.to_wire(), "offer": offer, "running": running, "groups": groups})

    def restore_server(self, context: RequestContext, host: str, server: ServerSpec, running: bool,
                       groups: Groups | None = None) -> Power:
        """Put back what was set aside, and start it when `running`; fine when it is back."""
        return self._agent(host).call(context, "restore_server", {
            "spec": server.to_wire(), "running": running, "groups": groups})

    def discard_server(self, context: RequestContext, host: str, server_id: str) -> None:
        """Remove what was set aside; fine when nothing was."""
        self._agent(host).call(context, "discard_server", {"server_id": server_id})

    def describe_migration(self, context: RequestContext, host: str, server: ServerSpec) -> dict[str, Any]:
        """Return what the target of a live migration must know; raises AgentError when the guest does not run."""
        return self._agent(host).call(context, "describe_migration", {"spec": server.to_wire()})

    def offer_base(self, context: RequestContext, host: str, server_id: str, to_host: str) -> dict[str, Any] | None:
        """Have `to_host` fetch from there what the server's root disk builds on, and return the offer, as that of
        `set_server_aside`, for `origin["offer"]` of `prepare_migration`; None where there is nothing to offer."""
        return self._agent(host).call(  # type: ignore[no-any-return]
            context, "offer_base", {"server_id": server_id, "to_host": to_host})

    def prepare_migration(self, context: RequestContext, host: str, server: ServerSpec, origin: dict[str, Any],
                          copying: bool | None, groups: Groups | None = None) -> dict[str, Any]:
        """Make room for a guest and return where it lands.

        `origin` is what `describe_migration` returned; `copying` says whether its disks are copied (None: as needed).
        """
        return self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "prepare_migration", {
            "spec": server.to_wire(), "origin": origin, "copying": copying, "groups": groups})

    def send_server(self, context: RequestContext, host: str, server_id: str, landing: dict[str, Any]
                    ) -> dict[str, Any]:
        """Begin to send the guest, unless it is on its way or gone; returns as `watch_migration`."""
        return self._agent(host).call(context, "send_server", {"server_id": server_id, "landing": landing})

    def watch_migration(self, context: RequestContext, host: str, server_id: str, wait_s: float) -> dict[str, Any]:
        """Return {"state", "reason", "progress"} when the sending ends, or after `wait_s`.

        `state`: those of `compute.virt.migration`, or idle: the guest is there and is not being sent. `progress`:
        numbers as a migration's record has them, or None.
        """
        return self._agent(host).call(context, "watch_migration", {"server_id": server_id, "wait_s": wait_s})

    def steer_migration(self, context: RequestContext, host: str, server_id: str, how: str) -> None:
        """Have the sending aborted (`abort`) or its end forced (`force_complete`); fine when nothing is sent."""
        self._agent(host).call(context, "steer_migration", {"server_id": server_id, "how": how})

    def sum_server_disks(self, context: RequestContext, host: str, server: ServerSpec) -> dict[str, str]:
        """Return a checksum of each disk of a guest that was sent from there, by the disk's name in the guest."""
        return self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "sum_server_disks", {
            "spec": server.to_wire()})

    def compare_server_disks(self, context: RequestContext, host: str, server: ServerSpec,
                             sums: dict[str, str]) -> None:
        """Raise AgentError when the disks of a guest that waits for this after it was sent there differ from `sums`."""
        self._client.to(host, long=True, timeout_s=COPY_TIMEOUT_S).call(context, "compare_server_disks", {
            "spec": server.to_wire(), "sums": sums})

    def arrive_server(self, context: RequestContext, host: str, server: ServerSpec,
                      groups: Groups | None = None) -> Power:
        """Take over a guest that was sent there; raises AgentError when it is not there."""
        return self._agent(host).call(context, "arrive_server", {"spec": server.to_wire(), "groups": groups})

    def change_password(self, context: RequestContext, host: str, server_id: str, user: str, password: str) -> None:
        """Set a user's password in the guest; raises AgentError with the reason when its agent cannot."""
        self._agent(host).call(context, "change_password", {
            "server_id": server_id, "user": user, "password": password})

    def inject_nmi(self, context: RequestContext, host: str, server_id: str) -> None:
        """Interrupt the guest so that it dumps its memory, if it is set up to. Raises AgentError when it is off."""
        self._agent(host).call(context, "inject_nmi", {"server_id": server_id})

    def reset_network(self, context: RequestContext, host: str, server: ServerSpec,
                      groups: Groups | None = None) -> None:
        """Connect the server's ports again, with bridge, DHCP and filters."""
        self._agent(host).call(context, "reset_network", {"spec": server.to_wire(), "groups": groups})

    def get_inventory(self, context: RequestContext, host: str) -> dict[str, Any]:
        """Return what is really there: {"servers": {id: {"power_state", "volumes": [ids]}}}."""
        return self._agent(host).call(context, "get_inventory")

    def inspect_network(self, context: RequestContext, host: str, places: dict[str, list[str]]) -> dict[str, Any]:
        """Return how the host's network really is, as `compute.network.plumbing.NetworkPlumbing.inspect`."""
        return self._agent(host).call(context, "inspect_network", {"places": places})

    def repair_network(self, context: RequestContext, host: str) -> None:
        """Make right what `inspect_network` finds."""
        self._agent(host).call(context, "repair_network")

    def get_leaders(self, context: RequestContext, host: str, timeout_s: float) -> dict[str, bool | None]:
        """Return which hosts lead outside for guests there, by name, and whether they answer it (None: unknown)."""
        return self._client.to(host, timeout_s=timeout_s).call(context, "get_leaders")  # type: ignore[no-any-return]

    def get_console_output(self, context: RequestContext, host: str, server_id: str, length: int | None) -> str:
        """Return the last `length` lines of the console log (None: all that one answer carries)."""
        return self._client.to(host).call(context, "get_console_output", {"server_id": server_id, "length": length})

    def get_console(self, context: RequestContext, host: str, server_id: str, protocol: str,
                    ttl_s: int) -> dict[str, Any]:
        """Grant a console of a server that runs: {"token", "host", "port", "path"}; see `compute.consoles`.

        Raises NotFound, Conflict (it is off), ConsoleUnavailable.
        """
        return self._client.to(host).call(context, "get_console", {  # type: ignore[no-any-return]
            "server_id": server_id, "protocol": protocol, "ttl_s": ttl_s})

    def get_diagnostics(self, context: RequestContext, host: str, server_id: str) -> dict[str, Any]:
        """Return the guest's counters. Raises NotFound when it is not defined there."""
        return self._client.to(host).call(context, "get_diagnostics", {"server_id": server_id})

    def update_server(self, context: RequestContext, host: str, server: ServerSpec,
                      groups: Groups | None = None) -> None:
        """Refresh what the guest may ask about itself (name, metadata); nothing when the server is not there."""
        self._agent(host).call(context, "update_server", {"spec": server.to_wire(), "groups": groups})

    def apply_port_rules(self, context: RequestContext, host: str, ports: Iterable[PortSpec],
                         groups: Groups | None = None) -> None:
        """Put the ports' security group rules into force."""
        self._agent(host).call(context, "apply_port_rules", {"ports": _wire(ports), "groups": groups})

    def update_groups(self, context: RequestContext, host: str, groups: Groups) -> None:
        """Put the groups' members into force, where no rule and no port changed."""
        self._agent(host).call(context, "update_groups", {"groups": groups})

    def update_network(self, context: RequestContext, host: str, network: NetworkSpec, ports: Iterable[PortSpec],
                       groups: Groups | None = None) -> None:
        """Put a network's changed subnets into force for the ports on the host."""
        self._agent(host).call(context, "update_network", {
            "network": network.to_wire(), "ports": _wire(ports), "groups": groups})

    def get_host_report(self, context: RequestContext, host: str) -> dict[str, Any]:
        """Return what the host's heartbeat says, now."""
        return self._client.to(host).call(context, "get_host_report")

    def _agent(self, host: str) -> Peer:
        return self._client.to(host, long=True)


def _wire(ports: Iterable[PortSpec]) -> list[dict[str, Any]]:
    return [port.to_wire() for port in ports]
