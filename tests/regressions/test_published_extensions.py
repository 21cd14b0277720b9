"""The Compute API's extensions stood in the list under names of our own: clients that ask before use found nothing.

Seen by the functional tests of the `openstack` command, which look for ImageSize.
"""

from __future__ import annotations

import pytest

from tests.harness.client import Client


@pytest.mark.parametrize(("alias", "name"), [
    ("OS-EXT-IMG-SIZE", "ImageSize"), ("OS-EXT-STS", "ExtendedStatus"), ("OS-SRV-USG", "ServerUsage"),
    ("OS-EXT-AZ", "ExtendedAvailabilityZone"), ("OS-SCH-HNT", "SchedulerHints"), ("os-shelve", "Shelve"),
    ("os-rescue", "Rescue"), ("os-consoles", "Consoles"), ("os-server-start-stop", "ServerStartStop")])
def test_what_is_there_has_its_published_name(client: Client, alias: str, name: str) -> None:
    shown = client.get(f"/compute/v2.1/extensions/{alias}").json()["extension"]
    assert (shown["alias"], shown["name"]) == (alias, name)
    assert shown in client.get("/compute/v2.1/extensions").json()["extensions"]
