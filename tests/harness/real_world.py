"""One running cloud for all tests of real guests: its image, its rules, and servers that pass from test to test.

A server takes longer to boot than most of what is done to it. So a module asks for one by its name and gets the one
that the module before it left behind, if that one still runs and answers; otherwise it gets a new one. A module deletes
whatever else it made: volumes, images, networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import real_parts, realfleet
from tests.harness.at_once import at_once
from tests.harness.client import Client
from tests.harness.real_guests import Guest, upload_basics
from tests.harness.realhost import Host
from tests.harness.whole_fleet import WholeFleet

# Says on the console and on the disk that it ran; the number of lines tells how often.
USER_DATA = "#!/bin/sh\necho ran >> /persist/user-data-ran\necho user-data-of-$(hostname) > /dev/ttyS0\n"


class World:
    """The cloud, an administrator's client, and the servers."""

    def __init__(self, cloud: WholeFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self._guests: dict[str, Guest] = {}

    def prepare(self) -> None:
        """Upload the image and the key; make two flavors, and a group of rules that lets ssh in."""
        upload_basics(self, "--property", "os_distro=tiny", user_data=USER_DATA)
        run = self.cloud.openstack
        run("flavor", "create", "larger", "--vcpus", "2", "--ram", "160", "--disk", "2")
        run("security", "group", "create", "ssh")
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "ssh")

    def running(self, name: str, host: Host | None = None) -> Guest:
        """Return a server that runs, on a host where one is named, and answers; boots one where there is none."""
        found = self._guests.get(name)
        if found is not None:
            if host in (None, found.host) and found.is_well():
                return found
            found.remove()
        made = self._guests[name] = Guest(self, name, host or self.cloud.hosts[0])
        made.create("--security-group", "ssh")
        made.wait_ssh()
        return made

    def both(self) -> tuple[Guest, Guest]:
        """Return the servers `one` on the first and `two` on the second host."""
        first, second = self.cloud.hosts
        at_once(lambda: self.running("one", first), lambda: self.running("two", second))
        return self._guests["one"], self._guests["two"]

    def other(self, host: Host) -> Host:
        """Return the other host."""
        [found] = [other for other in self.cloud.hosts if other is not host]
        return found


def started(directory: Path) -> Iterator[World]:
    """Start the world; a fixture's body. Skips with the reason where it cannot be had."""
    if missing := realfleet.missing():
        pytest.skip(missing)
    real_parts.tiny_image()
    cloud = WholeFleet(directory)
    try:
        world = World(cloud, cloud.start(), directory)
        world.prepare()
        yield world
    finally:
        print(cloud.logs())
        cloud.stop()
