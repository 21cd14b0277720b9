"""What the resources of all faces share."""

from __future__ import annotations

from api.services import Services


class Resource:
    """One path of a face; the framework calls its `on_get`, `on_post` and so on."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.conf = services.conf
