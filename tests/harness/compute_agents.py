"""A whole agent on the fake host, without a bus: what most tests of the agent start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oslo_messaging

from compute.consoles import Consoles, Passes
from compute.events import EventRelay
from compute.groups import Members
from compute.guest_calls import GuestCalls
from compute.guest_data import GuestData
from compute.interfaces import Interfaces
from compute.isos import Isos
from compute.layout import Layout
from compute.manager import ComputeManager
from compute.migration import Migrations
from compute.moving import Mover
from compute.power import Power
from compute.rebuild import Rebuilder
from compute.reconcile import Reconciler
from compute.report import Reporter
from compute.rescue import Rescuer
from compute.self_fence import SelfFence
from compute.snapshots import Snapshots
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.virt.fake.build import build
from compute.virt.fake.driver import FakeDriver
from compute.virt.fake.network import FakeNetworkPlumbing
from compute.virt.migration import Manner
from compute.volumes import Volumes
from compute.work import Workbench
from hostler import conf as hostler_conf
from hostler import errors, ids
from hostler.agent.faults import Faults
from hostler.agent.fencing import Fence
from hostler.agent.locks import ResourceLocks
from hostler.agent.programs import Progress
from hostler.agent.sequence import Sequence
from hostler.bus import rpc_method
from hostler.context import RequestContext
from hostler.resources.server.specs import FixedIpSpec, ImageSpec, NetworkSpec, PortSpec, ServerSpec, SubnetSpec
from hostler.resources.volume.specs import UploadSpec
from tests.harness.contexts import attempt_of

CTX = RequestContext.system()


class Direct:
    """A manager without the bus: errors come as they are raised, not wrapped for the wire."""

    def __init__(self, manager: ComputeManager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._manager, name)

        def call(*arguments: Any) -> Any:
            try:
                return method(*arguments)
            except oslo_messaging.ExpectedException as expected:
                raise expected.exc_info[1] from None

        return call


class FakeConductor:
    """Notes what agents say; answers reconciliations with `verdicts` (others: keep), or is silent."""

    def __init__(self) -> None:
        self.silent: Exception | None = None
        self.reports: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.present: list[dict[str, Any]] = []
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {}
        self.known_groups: dict[str, int] = {}
        self.asked: list[dict[str, int | None]] = []
        self.asides: list[str] = []
        self.discard: list[str] = []
        self.progress: list[int] = []
        self.wanted = True
        self.images: dict[str, bytes] = {}
        self.store_refuses: Exception | None = None
        self.before_answer: Callable[[], None] = lambda: None

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        self._speak()
        self.reports.append(report)
        return {"accepted": True}

    def server_events(self, context: RequestContext, host: str, events: list[dict[str, Any]]) -> None:
        self._speak()
        self.events.extend(events)

    def reconcile(self, context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int], asides: list[str]) -> dict[str, Any]:
        self._speak()
        self.present, self.known_groups, self.asides = present, known_groups, asides
        self.before_answer()
        keep = {"action": "keep", "server": None}
        return {"servers": [{"server_id": entry["server_id"], **self.verdicts.get(entry["server_id"], keep)}
                            for entry in present], "groups": self.groups, "discard": self.discard}

    def missed_members(self, known: dict[str, int | None]) -> dict[str, Any]:
        self._speak()
        self.asked.append(dict(known))
        return {group_id: self.groups[group_id] for group_id in known}

    def report_progress(self, context: RequestContext, percent: int) -> bool:
        self._speak()
        self.progress.append(percent)
        return self.wanted

    def take_image(self, path: Path, upload: UploadSpec, *, check: Callable[[], None], progress: Progress) -> None:
        """Act as the image store."""
        check()
        progress(50)
        if self.store_refuses is not None:
            raise self.store_refuses
        self.images[upload.image_id] = path.read_bytes()

    def _speak(self) -> None:
        if self.silent is not None:
            raise errors.Silent(part="The conductor service") from self.silent


@dataclasses.dataclass
class Agent:
    """One agent's parts."""

    manager: Direct
    driver: FakeDriver
    network: FakeNetworkPlumbing
    faults: Faults
    conductor: FakeConductor
    relay: EventRelay
    reconciler: Reconciler
    reporter: Reporter
    layout: Layout
    specs: SpecFiles
    bench: Workbench
    tools: Toolbox
    self_fence: SelfFence

    def spawn(self, server: ServerSpec, operation_id: str = "boot", attempt: int = 1) -> dict[str, Any]:
        return self.manager.spawn_server(attempt_of(operation_id, attempt), server.to_wire())

    def destroy(self, server: ServerSpec, operation_id: str = "delete", attempt: int = 1) -> None:
        self.manager.destroy_server(attempt_of(operation_id, attempt), server.id,
                                    [port.to_wire() for port in server.ports])

    def leftovers(self) -> list[object]:
        """Everything that a removed server must not leave."""
        return [*self.driver.domains, *self.network.plugged, *self.network.active, *self.specs.ids()]


def make_agent(state: Path, conductor: FakeConductor | None = None, host: str = "host1") -> Agent:
    config = hostler_conf.load(config_files=[], overrides={"host": host, "state_path": str(state),
                                                           "compute.driver": "fake"})
    layout = Layout(state)
    layout.prepare()
    layout.claim_servers(host)
    tools = build(config, layout)
    assert isinstance(tools.driver, FakeDriver) and isinstance(tools.network, FakeNetworkPlumbing)
    conductor = conductor or FakeConductor()
    specs = SpecFiles(layout, host)
    self_fence = SelfFence(layout, specs, tools.driver, after_s=0)
    self_fence.start()
    relay = EventRelay("host1", conductor, settle_s=0, revision_of=specs.revision_of,
                       next_number=Sequence(layout.reports).next, swallows=self_fence.swallows)
    tools.driver.open()
    tools.driver.set_event_listener(relay.add, lambda: None)
    bench = Workbench(Fence(layout.fence), ResourceLocks(), relay, conductor, self_fence)
    spawner = Spawner(tools, layout, specs, bench, max_concurrent_builds=2, console_max_bytes=4096)
    power = Power(tools, layout, specs, bench, spawner, stop_timeout_s=1, reboot_timeout_s=1)
    interfaces = Interfaces(tools, specs, bench, spawner)
    reporter, members = Reporter(config, tools.driver, tools.network, tools.connections, layout, self_fence), Members(
        tools.network, conductor.missed_members)
    reconciler = Reconciler("host1", tools, layout, specs, bench, spawner, power, interfaces, members, conductor,
                            console_max_bytes=4096, fence=self_fence)
    snapshots = Snapshots(tools, layout, specs, bench, max_concurrent=2, send=conductor.take_image)
    manager = ComputeManager(tools, layout, spawner, power, GuestData(specs, tools.network), members, reporter,
                             Volumes(tools, specs, bench), Rescuer(tools, layout, specs, bench, spawner, power),
                             interfaces, snapshots,
                             Consoles(tools.driver, Passes(layout.console_key), lambda: ("127.0.0.1", 1)),
                             Rebuilder(tools, layout, specs, bench, spawner),
                             Mover(tools, layout, specs, bench, spawner, power),
                             Migrations(tools, layout, specs, bench, spawner, Manner()),
                             GuestCalls(tools, bench), Isos(tools, specs, bench))
    return Agent(Direct(manager), tools.driver, tools.network, tools.driver.faults, conductor, relay, reconciler,
                 reporter, layout, specs, bench, tools, self_fence)


def make_server(**changes: Any) -> ServerSpec:
    server_id = ids.new_id()
    subnet = SubnetSpec(id="s1", cidr="10.0.0.0/24")
    port = PortSpec(id=ids.new_id(), mac_address="fa:16:3e:00:00:01", server_id=server_id,
                    network=NetworkSpec(id="11111111-0000-4000-8000-000000000000", name="net", subnets=(subnet,)),
                    fixed_ips=(FixedIpSpec(ip_address="10.0.0.7", subnet_id="s1"),))
    image = ImageSpec(id=ids.new_id(), sha256="ab" * 32, size_bytes=1, virtual_size_bytes=1, disk_format="qcow2")
    made = ServerSpec(id=server_id, name="web", hostname="web", project_id="p", user_id="u", vcpus=1, ram_mib=64,
                      root_gib=1, image=image, ports=(port,))
    return dataclasses.replace(made, **changes)


class Endpoint(FakeConductor):
    """A conductor on the bus."""

    @rpc_method
    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        return super().heartbeat(context, host, report)

    @rpc_method
    def server_events(self, context: RequestContext, host: str, events: list[dict[str, Any]]) -> None:
        super().server_events(context, host, events)

    @rpc_method
    def reconcile(self, context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int], asides: list[str]) -> dict[str, Any]:
        return super().reconcile(context, host, present, known_groups, asides)
