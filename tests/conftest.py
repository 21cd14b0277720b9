"""What every test shares: the way to the test helpers, the division among worker processes, and the record of the
feature contract (`tests.harness.contract`)."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).resolve().parent
QUICK = ("unit", "functional", "regressions")
# Two emulated guests that boot make a machine busy; more would make it miss what is due within a second.
_BOOTS_GUESTS = re.compile(r"^from tests\.harness import .*\breal_parts\b", re.MULTILINE)


def _make_tests_importable() -> None:
    """Let `from tests.x import y` work without putting the checkout, and with it our packages, on the path."""
    if "tests" not in sys.modules or not getattr(sys.modules["tests"], "__path__", None):
        spec = importlib.util.spec_from_loader("tests", loader=None, is_package=True)
        assert spec is not None
        package = importlib.util.module_from_spec(spec)
        package.__path__ = [str(HERE)]
        sys.modules["tests"] = package


_make_tests_importable()

import hostler  # noqa: E402, F401 - chooses oslo.service's backend before a test imports an oslo library
from hostler import gc_tuning  # noqa: E402
from tests.harness import contract  # noqa: E402


class Division(LoadFileScheduling):
    """What one worker process runs alone: a module, a package with all it shares, or all other emulated guests."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return _group_of(HERE.parent / path) or path


@functools.cache
def _group_of(path: Path) -> str:
    """Return the name for the modules that this one must not run beside, "" for none."""
    if (path.parent / "__init__.py").exists():
        return str(path.parent)
    return "emulated guests" if _BOOTS_GUESTS.search(path.read_text()) else ""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Division:
    """Divide the tests among worker processes."""
    return Division(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long; those with guests take longest and come first."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] not in QUICK:
            item.add_marker("long")
    items.sort(key=lambda item: not _group_of(item.path))


def pytest_collection_finish() -> None:
    """Spare the collector the modules and tests that are loaded now: it would walk them again and again."""
    gc_tuning.calm()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the record's option."""
    parser.addoption("--contract-record", type=Path, help="keep in a file which rows of the feature contract passed")


def pytest_configure(config: pytest.Config) -> None:
    """Check the contract's rows in every run, and record them when asked to."""
    config.pluginmanager.register(contract.Recorder(contract.read_rows(), config.getoption("--contract-record")))


@pytest.fixture(autouse=True)
def _no_machine_configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the OpenStack settings of whoever runs the tests out of them."""
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_CLIENT_CONFIG_FILE", "OS_TOKEN", "OS_USERNAME", "OS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    yield
