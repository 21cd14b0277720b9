"""What every test shares: the way to the test helpers, the division among worker processes, and the record of the
feature contract (`tests.harness.contract`)."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
QUICK = ("unit", "functional", "regressions")


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
from tests.harness import contract  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long, and name what one worker process runs alone (`--dist loadgroup`): a module, or all that use
    this machine's hypervisor, networks and mounts. The latter take longest and come first."""
    for item in items:
        room, *rest = item.path.relative_to(HERE).parts
        alone = room == "security" or (room == "integration" and len(rest) == 1)
        if room not in QUICK:
            item.add_marker("long")
        item.add_marker(pytest.mark.xdist_group("machine" if alone else "/".join((room, *rest))))
    items.sort(key=lambda item: "machine" not in (mark.args[0] for mark in item.iter_markers("xdist_group")))


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
