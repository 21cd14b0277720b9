"""Fixtures of tests on a real kernel's network: a namespace in place of the host, and a host's plumbing in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import network_lab
from tests.harness.two_hosts import HostOfTwo, two_hosts


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    """Put this module's tests into a network namespace of their own."""
    with network_lab.host_network():
        yield


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[network_lab.Cloud]:
    """A host called one, and its guests."""
    made = network_lab.Cloud(tmp_path, host="one")
    try:
        yield made
    finally:
        made.tear_down()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[HostOfTwo, HostOfTwo]]:
    """Two hosts on one wire."""
    with two_hosts(tmp_path) as made:
        yield made
