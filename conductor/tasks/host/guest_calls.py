"""Tasks that ask a host for something of a guest that no record keeps."""

from __future__ import annotations

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of, load_spec
from hostler import errors
from hostler.db.models import Server


class ChangePassword(OperationTask):
    """Have the agent in the guest set the administrator's password. Revert: nothing to undo."""

    def execute(self, password: str | None) -> None:
        """Set it; fails where no agent answers."""
        run = self.run
        if password is not None:
            run.ask_host(_require_host(run), run.cloud.compute.change_password, run.resource_id, _administrator(run),
                         password)


class InjectNmi(OperationTask):
    """Have the host interrupt the guest. Revert: nothing to undo."""

    def execute(self) -> None:
        """Interrupt it; a second interrupt does not harm a guest that is already dumping its memory."""
        self.run.ask_host(_require_host(self.run), self.run.cloud.compute.inject_nmi, self.run.resource_id)


class ResetNetwork(OperationTask):
    """Have the host connect the server's ports again. Revert: nothing to undo."""

    def execute(self) -> None:
        """Connect them; a server that is on no host has nothing to connect."""
        host = host_of(self.run)
        if host is not None:
            spec, groups = load_spec(self.run)
            self.run.ask_host(host, self.run.cloud.compute.reset_network, spec, groups)


def _require_host(run: Run) -> str:
    host = host_of(run)
    if host is None:
        raise errors.Conflict(reason=f"Instance {run.resource_id} is on no host.")
    return host


def _administrator(run: Run) -> str:
    """Return the administrator's name: what the image says, else the usual one of its operating system."""
    with run.reading() as session:
        properties = session.get_one(Server, run.resource_id).image_properties
    return str(properties.get("os_admin_user")
               or ("Administrator" if properties.get("os_type") == "windows" else "root"))
