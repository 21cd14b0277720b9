"""Who asks, for which project, under which request id: carried from HTTP to libvirt and into every log line."""

from __future__ import annotations

from typing import Any

from oslo_context import context as oslo_context

from hostler import ids

ADMIN_ROLE = "admin"


class RequestContext(oslo_context.RequestContext):
    """oslo's context (user_id, project_id, roles, request_id, …) plus the operation that the work belongs to.

    `agent` is the host whose agent sent the message, where the bus verifies senders (`hostler.bus.senders`).
    Inside the api it also tells by which token (`token_audit_id`) the caller came, and whether that token is
    `restricted`: of an application credential that may not make further credentials.
    """

    def __init__(self, *, operation_id: str | None = None, attempt: int = 0, token_audit_id: str | None = None,
                 restricted: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("overwrite", True)
        super().__init__(**kwargs)
        self.operation_id = operation_id
        self.attempt = attempt
        self.token_audit_id = token_audit_id
        self.restricted = restricted
        self.agent: str | None = None

    @classmethod
    def system(cls, request_id: str | None = None) -> RequestContext:
        """Return a context for work that no user asked for (heartbeats, reconciliation, audits)."""
        return cls(is_admin=True, roles=[ADMIN_ROLE], request_id=request_id or f"req-{ids.new_id()}")

    def to_wire(self) -> dict[str, Any]:
        """Return the few values that travel on the bus (no token ever does)."""
        return {"request_id": self.request_id, "user_id": self.user_id, "project_id": self.project_id,
                "roles": self.roles, "is_admin": self.is_admin, "operation_id": self.operation_id,
                "attempt": self.attempt}

    @classmethod
    def from_wire(cls, values: dict[str, Any]) -> RequestContext:
        """Return the context that `to_wire` described."""
        known = ("request_id", "user_id", "project_id", "roles", "is_admin", "operation_id", "attempt")
        return cls(**{key: values[key] for key in known if key in values})
