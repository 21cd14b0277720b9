"""What a running guest is asked for on the spot: to take a password, to dump its memory."""

from __future__ import annotations

import logging

from compute.toolbox import Toolbox
from compute.work import Workbench
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)


class GuestCalls:
    """Called by the manager. Both may be repeated."""

    def __init__(self, tools: Toolbox, bench: Workbench) -> None:
        self._tools = tools
        self._bench = bench

    def change_password(self, server_id: str, user: str, password: str, context: RequestContext) -> None:
        """Set a user's password in the guest; raises AgentError with the reason when its agent cannot."""
        with self._bench.work_on(server_id, context):
            self._tools.driver.set_password(server_id, user, password)
        LOG.info("The password of %s in server %s was set", user, server_id)

    def inject_nmi(self, server_id: str, context: RequestContext) -> None:
        """Interrupt the guest; raises AgentError when it does not run."""
        with self._bench.work_on(server_id, context):
            self._tools.driver.inject_nmi(server_id)
        LOG.info("Server %s was sent a non-maskable interrupt", server_id)
