"""Which threads of a service serve requests: faults that strike requests only ask here."""

from __future__ import annotations

import threading


def serves_requests() -> bool:
    """Return whether this thread runs the application for the HTTP server (`api.front.gateway` names its threads)."""
    return threading.current_thread().name.startswith("http")
