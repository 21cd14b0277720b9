"""Where a test keeps its database: in an SQLite file, or on a server when HOSTLER_TEST_DATABASE names its kind.

`tox -e regressions-mariadb` sets it, and so plays on MariaDB those regressions that can come to know of it
(`is_asked_by`).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import inspect
import os
import re
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.harness import databases

_HERE = Path(__file__).resolve()
_ROOT = _HERE.parents[2]
_NAME = re.compile(r"\btests(?:\.\w+)+")
_IMPORT = re.compile(r"^\s*from (tests[.\w]*) import (\([^)]*\)|.*)$", re.MULTILINE)
KIND = os.environ.get("HOSTLER_TEST_DATABASE", "sqlite")


@functools.cache
def url_of(path: Path) -> str:
    """Return the URL of the database that is at `path`, or has that path's place on a server; at first it is empty."""
    if KIND == "sqlite":
        return f"sqlite:///{path}"
    if reason := databases.missing(KIND):
        pytest.skip(reason)
    name = f"t{hashlib.sha256(str(path).encode()).hexdigest()[:20]}"
    return databases.create_database(_server(), name).render_as_string(hide_password=False)


def is_asked_by(test: pytest.Item) -> bool:
    """Return whether a test can come to know which database was chosen: its module or that of one of its fixtures
    names this one, be it through others. Any other test is the same on every kind."""
    fixtures = [found for all_of_name in test._fixtureinfo.name2fixturedefs.values() for found in all_of_name]  # type: ignore[attr-defined]
    return any(_reaches_here(path) for path in (test.path, *(Path(inspect.getfile(one.func)) for one in fixtures)))


def _reaches_here(start: Path) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        path = waiting.pop()
        if path == _HERE:
            return True
        waiting += _named_by(path) - seen
        seen |= _named_by(path)
    return False


@functools.cache
def _named_by(path: Path) -> frozenset[Path]:
    """Return the files of tests and harness that a file imports, or starts as a process."""
    text = path.read_text()
    names = {*_NAME.findall(text), *(f"{module}.{member}" for module, members in _IMPORT.findall(text)
                                     for member in re.findall(r"\w+", members))}
    return frozenset(file for file in (_ROOT / f"{name.replace('.', '/')}.py" for name in names) if file.exists())


@functools.cache
def _server() -> sa.URL:
    """Start the server that all tests of this process share."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"hostler-{KIND}-"))
    server = sa.make_url(stack.enter_context(databases.running(KIND, Path(directory) / "server")))
    databases.share(server)
    return server
