"""Tasks that ask hosts about the NICs of their guests."""

from __future__ import annotations

from typing import Any

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.calls import tried
from hostler.resources.network.port_specs import Groups, members_for, port_specs
from hostler.resources.server.specs import PortSpec


class PlugInterface(OperationTask):
    """Have the host give the NIC to the guest. Revert: have it take the NIC out again."""

    def execute(self, port_id: str) -> None:
        """Plug; a server on no host gets it where it is started next."""
        plug(self.run, port_id)

    def revert(self, port_id: str, **_: Any) -> None:
        """Unplug; a guest that does not let go keeps a device that its host disconnects when it reconciles."""
        tried(f"port {port_id} may be left in server {self.run.resource_id} until its host reconciles",
              lambda: unplug(self.run, port_id))


class UnplugInterface(OperationTask):
    """Have the host take the NIC from the guest. Revert: give it back, since it stays attached."""

    def execute(self, port_id: str) -> None:
        """Unplug; fails when the guest does not let go in time."""
        unplug(self.run, port_id)

    def revert(self, port_id: str, **_: Any) -> None:
        """Plug it again; a guest that never let go still has it, which its host sees."""
        tried(f"port {port_id} is attached to server {self.run.resource_id} by the records, and gets in with its next "
              "start", lambda: plug(self.run, port_id))


def plug(run: Run, port_id: str) -> None:
    """Have the server's host give it the NIC of a port."""
    host = host_of(run)
    if host is None:
        return
    port, groups = _spec(run, port_id)
    while port is not None:
        run.ask_host(host, run.cloud.compute.attach_interface, run.resource_id, port, groups)
        sent = port.revision
        # Its rules may have changed while the host did not know the port yet, and skipped them.
        port, groups = _spec(run, port_id)
        if port is None or port.revision == sent:
            return


def unplug(run: Run, port_id: str) -> None:
    """Have the server's host take the NIC out; raises AgentError when the guest does not let go in time."""
    host = host_of(run)
    port, _ = _spec(run, port_id)
    if host is not None and port is not None:
        run.ask_host(host, run.cloud.compute.detach_interface, run.resource_id, port,
                     run.conf.compute.interface_detach_timeout)


def _spec(run: Run, port_id: str) -> tuple[PortSpec | None, Groups]:
    """Return the port and the members of the groups its rules name; None when it is not the server's any more."""
    with run.reading() as session:
        for port in port_specs(session, port_ids=[port_id]).get(run.resource_id, ()):
            return port, members_for(session, [port])
    return None, {}
