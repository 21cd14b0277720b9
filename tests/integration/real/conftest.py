"""The cloud that these modules share: see `tests.harness.real_world`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.real_world import World, started


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run it as long as these modules run."""
    yield from started(tmp_path_factory.mktemp("real"))
