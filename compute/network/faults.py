"""How a failure on a host's network is told: one sentence for the server's owner, the details for administrators."""

from __future__ import annotations

from hostler import errors


def fault(details: str) -> errors.AgentError:
    """Return the error for what went wrong; `details` may name interfaces, networks of others and programs."""
    return errors.AgentError(reason="The server's network could not be set up on its host.", details=details)
