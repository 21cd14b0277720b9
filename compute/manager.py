"""The compute agent's RPC endpoint: unpack, hand on, pack. Clients are in `compute.rpcapi`.

Only Hostler's errors leave here on purpose; every method may be received twice.
"""

from __future__ import annotations

from typing import Any

from compute import console
from compute.consoles import Consoles
from compute.groups import Groups, Members
from compute.guest_calls import GuestCalls
from compute.guest_data import GuestData
from compute.interfaces import Interfaces
from compute.isos import Isos
from compute.layout import Layout
from compute.migration import Migrations
from compute.moving import Mover
from compute.power import Power
from compute.rebuild import Rebuilder
from compute.report import Reporter
from compute.rescue import Rescuer
from compute.snapshots import Snapshots
from compute.spawn import Spawner
from compute.toolbox import Toolbox
from compute.volumes import Volumes
from hostler import errors
from hostler.bus import open_to, rpc_method
from hostler.bus.senders import API, COMPUTE
from hostler.context import RequestContext
from hostler.resources.server.specs import AttachedSpec, ImageSpec, NetworkSpec, PortSpec, ServerSpec
from hostler.resources.volume.specs import UploadSpec

Wire = dict[str, Any]


class ComputeManager:
    """One host's endpoint."""

    def __init__(self, tools: Toolbox, layout: Layout, spawner: Spawner, power: Power, guest_data: GuestData,
                 members: Members, reporter: Reporter, volumes: Volumes, rescuer: Rescuer,
                 interfaces: Interfaces, snapshots: Snapshots, consoles: Consoles, rebuilder: Rebuilder,
                 mover: Mover, migrations: Migrations,
                 guest_calls: GuestCalls, isos: Isos) -> None:
        self._tools = tools
        self._layout = layout
        self._spawner = spawner
        self._power = power
        self._guest_data = guest_data
        self._members = members
        self._reporter = reporter
        self._volumes = volumes
        self._rescuer = rescuer
        self._interfaces = interfaces
        self._snapshots = snapshots
        self._consoles = consoles
        self._rebuilder = rebuilder
        self._mover = mover
        self._migrations = migrations
        self._guest_calls = guest_calls
        self._isos = isos

    @rpc_method
    def spawn_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> Wire:
        """Make the server run."""
        self._members.take(groups)
        return _state(self._spawner.spawn(ServerSpec.from_wire(spec), context))

    @rpc_method
    def prepare_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> Wire:
        """Make the server, switched off."""
        self._members.take(groups)
        return _state(self._spawner.prepare(ServerSpec.from_wire(spec), context))

    @rpc_method
    def destroy_server(self, context: RequestContext, server_id: str, ports: list[Wire]) -> None:
        """Remove the server."""
        self._spawner.destroy(server_id, _ports(ports), context)

    @rpc_method
    def start_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> Wire:
        """Switch on."""
        self._members.take(groups)
        return _state(self._power.start(ServerSpec.from_wire(spec), context))

    @rpc_method
    def stop_server(self, context: RequestContext, spec: Wire, timeout_s: int | None) -> Wire:
        """Switch off."""
        return _state(self._power.stop(ServerSpec.from_wire(spec), timeout_s, context))

    @rpc_method
    def reboot_server(self, context: RequestContext, spec: Wire, hard: bool, timeout_s: int | None,
                      groups: Groups | None = None) -> Wire:
        """Switch off and on."""
        self._members.take(groups)
        return _state(self._power.reboot(ServerSpec.from_wire(spec), context, hard=hard, timeout_s=timeout_s))

    @rpc_method
    def pause_server(self, context: RequestContext, spec: Wire) -> Wire:
        """Freeze."""
        return _state(self._power.pause(ServerSpec.from_wire(spec), context))

    @rpc_method
    def unpause_server(self, context: RequestContext, spec: Wire) -> Wire:
        """Go on."""
        return _state(self._power.unpause(ServerSpec.from_wire(spec), context))

    @rpc_method
    def suspend_server(self, context: RequestContext, spec: Wire) -> Wire:
        """Save to disk."""
        return _state(self._power.suspend(ServerSpec.from_wire(spec), context))

    @rpc_method
    def resume_server(self, context: RequestContext, spec: Wire) -> Wire:
        """Come back from disk."""
        return _state(self._power.resume(ServerSpec.from_wire(spec), context))

    @rpc_method
    def rescue_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> Wire:
        """Run the rescue disk."""
        self._members.take(groups)
        return _state(self._rescuer.rescue(ServerSpec.from_wire(spec), context))

    @rpc_method
    def unrescue_server(self, context: RequestContext, spec: Wire, start: bool, groups: Groups | None = None) -> Wire:
        """Run the server's own disk."""
        self._members.take(groups)
        return _state(self._rescuer.unrescue(ServerSpec.from_wire(spec), context, start=start))

    @rpc_method
    def attach_volume(self, context: RequestContext, server_id: str, volume: Wire) -> None:
        """Plug a volume."""
        self._volumes.attach(server_id, AttachedSpec.from_wire(volume), context)

    @rpc_method
    def detach_volume(self, context: RequestContext, server_id: str, volume_id: str, timeout_s: int) -> None:
        """Unplug a volume."""
        self._volumes.detach(server_id, volume_id, timeout_s, context)

    @rpc_method
    def resize_volume(self, context: RequestContext, server_id: str, volume_id: str, size_bytes: int) -> None:
        """Show a guest its volume's new size."""
        self._volumes.resize(server_id, volume_id, size_bytes, context)

    @rpc_method
    def attach_interface(self, context: RequestContext, server_id: str, port: Wire,
                         groups: Groups | None = None) -> None:
        """Plug a NIC."""
        self._members.take(groups)
        self._interfaces.attach(server_id, PortSpec.from_wire(port), context)

    @rpc_method
    def detach_interface(self, context: RequestContext, server_id: str, port: Wire, timeout_s: int) -> None:
        """Unplug a NIC."""
        self._interfaces.detach(server_id, PortSpec.from_wire(port), timeout_s, context)

    @rpc_method
    def attach_iso(self, context: RequestContext, server_id: str, iso: Wire) -> None:
        """Fill the drive."""
        self._isos.attach(server_id, ImageSpec.from_wire(iso), context)

    @rpc_method
    def detach_iso(self, context: RequestContext, server_id: str) -> None:
        """Empty the drive."""
        self._isos.detach(server_id, context)

    @rpc_method
    def rebuild_server(self, context: RequestContext, spec: Wire, start: bool, groups: Groups | None = None) -> Wire:
        """Make the disks again."""
        self._members.take(groups)
        return _state(self._rebuilder.rebuild(ServerSpec.from_wire(spec), context, start=start))

    @rpc_method
    def upload_server(self, context: RequestContext, server_id: str, upload: Wire) -> None:
        """Send the root disk to the image store."""
        self._snapshots.upload(server_id, UploadSpec.from_wire(upload), context)

    @rpc_method
    def discard_upload(self, context: RequestContext, server_id: str) -> None:
        """Remove what an upload left."""
        self._snapshots.discard(server_id, context)

    @rpc_method
    def set_server_aside(self, context: RequestContext, spec: Wire, to_host: str, timeout_s: int | None) -> Wire:
        """Take the server out and offer its files."""
        return self._mover.set_aside(ServerSpec.from_wire(spec), to_host, timeout_s, context)

    @rpc_method
    def take_server_in(self, context: RequestContext, spec: Wire, offer: Wire, running: bool,
                       groups: Groups | None = None) -> Wire:
        """Fetch the server's files and start it."""
        self._members.take(groups)
        return _state(self._mover.take_in(ServerSpec.from_wire(spec), offer, running, context))

    @rpc_method
    def restore_server(self, context: RequestContext, spec: Wire, running: bool, groups: Groups | None = None) -> Wire:
        """Put back what was set aside."""
        self._members.take(groups)
        return _state(self._mover.restore(ServerSpec.from_wire(spec), running, context))

    @rpc_method
    def discard_server(self, context: RequestContext, server_id: str) -> None:
        """Remove what was set aside."""
        self._mover.discard(server_id, context)

    @rpc_method
    def describe_migration(self, context: RequestContext, spec: Wire) -> Wire:
        """Say what a target must know of a guest."""
        return self._migrations.describe(ServerSpec.from_wire(spec), context)

    @rpc_method
    def offer_base(self, context: RequestContext, server_id: str, to_host: str) -> Wire | None:
        """Have a target fetch what a root disk builds on."""
        return self._migrations.offer_base(server_id, to_host, context)

    @rpc_method
    def prepare_migration(self, context: RequestContext, spec: Wire, origin: Wire, copying: bool | None,
                          groups: Groups | None = None) -> Wire:
        """Make room for a guest."""
        self._members.take(groups)
        return self._migrations.prepare(ServerSpec.from_wire(spec), origin, copying, context)

    @rpc_method
    def send_server(self, context: RequestContext, server_id: str, landing: Wire) -> Wire:
        """Begin to send a guest."""
        return self._migrations.send(server_id, landing, context)

    @rpc_method
    def watch_migration(self, context: RequestContext, server_id: str, wait_s: float) -> Wire:
        """Say how far a guest is."""
        return self._migrations.watch(server_id, wait_s, context)

    @rpc_method
    def steer_migration(self, context: RequestContext, server_id: str, how: str) -> None:
        """Abort, or force the end."""
        self._migrations.steer(server_id, how, context)

    @rpc_method
    def sum_server_disks(self, context: RequestContext, spec: Wire) -> dict[str, str]:
        """Return checksums of the disks of a guest that was sent from here."""
        return self._migrations.sum_disks(ServerSpec.from_wire(spec), context)

    @rpc_method
    def compare_server_disks(self, context: RequestContext, spec: Wire, sums: dict[str, str]) -> None:
        """Compare the disks of a guest that was sent here with their source's."""
        self._migrations.compare(ServerSpec.from_wire(spec), sums, context)

    @rpc_method
    def arrive_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> Wire:
        """Take over a guest that was sent here."""
        self._members.take(groups)
        return _state(self._migrations.arrive(ServerSpec.from_wire(spec), context))

    @rpc_method
    def change_password(self, context: RequestContext, server_id: str, user: str, password: str) -> None:
        """Set a password in the guest."""
        self._guest_calls.change_password(server_id, user, password, context)

    @rpc_method
    def inject_nmi(self, context: RequestContext, server_id: str) -> None:
        """Interrupt the guest."""
        self._guest_calls.inject_nmi(server_id, context)

    @rpc_method
    def reset_network(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> None:
        """Connect the ports again."""
        self._members.take(groups)
        self._interfaces.reset(ServerSpec.from_wire(spec), context)

    @rpc_method
    def get_inventory(self, context: RequestContext) -> Wire:
        """Return what is really here."""
        return {"servers": self._volumes.inventory()}

    @rpc_method
    def inspect_network(self, context: RequestContext, places: dict[str, list[str]]) -> Wire:
        """Return how the host's network really is."""
        return self._tools.network.inspect(places)

    @rpc_method
    def repair_network(self, context: RequestContext) -> None:
        """Make networks and routers right."""
        self._tools.network.repair()

    @rpc_method
    def get_leaders(self, _context: RequestContext) -> dict[str, bool | None]:
        """Return which hosts that lead outside answer this one."""
        return self._tools.network.leaders.seen()

    @open_to(API)
    def get_console_output(self, context: RequestContext, server_id: str, length: int | None) -> str:
        """Return the end of the console log; raises NotFound when the server is not here."""
        if not self._layout.server(server_id).is_dir():
            raise errors.NotFound(resource="server", id=server_id)
        return console.read_tail(self._layout.console_log(server_id), length)

    @open_to(API)
    def get_console(self, context: RequestContext, server_id: str, protocol: str, ttl_s: int) -> Wire:
        """Grant a console."""
        return self._consoles.grant(server_id, protocol, ttl_s)

    @open_to(API)
    def get_diagnostics(self, context: RequestContext, server_id: str) -> Wire:
        """Return the guest's counters."""
        return self._tools.driver.get_diagnostics(server_id)

    @rpc_method
    def update_server(self, context: RequestContext, spec: Wire, groups: Groups | None = None) -> None:
        """Take over name and metadata."""
        self._members.take(groups)
        self._guest_data.update_server(ServerSpec.from_wire(spec))

    @rpc_method
    def update_groups(self, context: RequestContext, groups: Groups) -> None:
        """Put groups' members into force."""
        self._members.take(groups)

    @rpc_method
    def apply_port_rules(self, context: RequestContext, ports: list[Wire], groups: Groups | None = None) -> None:
        """Put rules into force."""
        self._members.take(groups)
        self._guest_data.apply_rules(_ports(ports))

    @rpc_method
    def update_network(self, context: RequestContext, network: Wire, ports: list[Wire],
                       groups: Groups | None = None) -> None:
        """Put subnets into force."""
        self._members.take(groups)
        self._guest_data.update_network(NetworkSpec.from_wire(network), _ports(ports))

    @rpc_method
    def get_host_report(self, context: RequestContext) -> Wire:
        """Return what a heartbeat says."""
        return self._reporter.report()

    @open_to(COMPUTE)
    def ping(self, context: RequestContext) -> None:
        """Answer."""


def _ports(values: list[Wire]) -> list[PortSpec]:
    return [PortSpec.from_wire(value) for value in values]


def _state(power_state: str) -> Wire:
    return {"power_state": power_state}
