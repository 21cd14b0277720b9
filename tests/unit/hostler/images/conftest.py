"""A store and a database in a directory that goes with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from hostler import conf as configuration
from hostler.db.engine import Database
from hostler.db.models import Domain, Project
from hostler.identity import keys
from hostler.images.store import ImageStore
from tests.harness import databases


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    """A configuration whose state is the test's own."""
    return configuration.load(config_files=[], overrides={"state_path": str(tmp_path)})


@pytest.fixture
def store(conf: cfg.ConfigOpts) -> ImageStore:
    """An empty store."""
    keys.directory_of(conf).mkdir(parents=True)
    keys.ensure(keys.directory_of(conf))
    return ImageStore(conf)


@pytest.fixture
def db(conf: cfg.ConfigOpts) -> Iterator[Database]:
    """A database with one project."""
    database = databases.prepare(Database.from_conf(conf))
    database.write(lambda session: session.add(Domain(id="default", name="Default")))
    database.write(lambda session: session.add(Project(name="one", domain_id="default")))
    yield database
    database.dispose()
