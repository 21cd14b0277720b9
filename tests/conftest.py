"""What every test shares: the way to the test helpers, and the report on the feature contract.

`--contract-report` (used by `tox -e contract`) prints each row of `contract_rows.txt` with the number of passing
tests that carry it, and fails the run when a test names a row that does not exist. `--contract-record FILE` keeps a
run's outcomes for a later report, so that the long integration tests need not run twice.
"""

from __future__ import annotations

import collections
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROWS_FILE = HERE / "contract_rows.txt"


def _make_tests_importable() -> None:
    """Let `from tests.x import y` work without putting the checkout, and with it our packages, on the path."""
    if "tests" not in sys.modules or not getattr(sys.modules["tests"], "__path__", None):
        spec = importlib.util.spec_from_loader("tests", loader=None, is_package=True)
        assert spec is not None
        package = importlib.util.module_from_spec(spec)
        package.__path__ = [str(HERE)]
        sys.modules["tests"] = package


_make_tests_importable()


def read_rows(path: Path = ROWS_FILE) -> dict[str, str]:
    """Return row id → what the row is about."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {row: about.strip() for row, _, about in (line.partition(" ") for line in lines)}


class ContractReport:
    """Collects which rows the run's tests carry and how those tests ended."""

    def __init__(self, rows: dict[str, str], *, shown: bool, record: Path | None, recorded: list[Path]) -> None:
        self.rows = rows
        self._shown = shown
        self._record = record
        self._recorded = recorded
        self.outcomes: dict[str, collections.Counter[str]] = {row: collections.Counter() for row in rows}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember each test's rows; a row that nobody wrote down is a mistake in the test."""
        for item in items:
            carried = [str(row) for mark in item.iter_markers("contract") for row in mark.args]
            unknown = sorted(set(carried) - set(self.rows))
            if unknown:
                raise pytest.UsageError(f"{item.nodeid} names unknown contract rows: {', '.join(unknown)}")
            # Properties travel with a test's report, also from the processes of pytest-xdist.
            item.user_properties.extend(("contract", row) for row in carried)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count how each row's tests ended: a test passes once, but fails or skips in any of its phases."""
        if report.when == "call" or report.outcome != "passed":
            for name, row in report.user_properties:
                if name == "contract":
                    self.outcomes[str(row)][report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the outcomes, if asked to. A contract that no test carries is a report like any other, not a failure."""
        if self._shown and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if self._record is not None and not hasattr(session.config, "workerinput"):
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._record.write_text(json.dumps(self.outcomes))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if not self._shown:
            return
        terminalreporter.section("feature contract")
        for recorded in self._recorded:
            if not recorded.exists():
                terminalreporter.write_line(f"no run is recorded in {recorded.name}: its tests are not counted")
                continue
            for row, counts in json.loads(recorded.read_text()).items():
                if row in self.outcomes:
                    self.outcomes[row].update(counts)
        proven = 0
        for row, about in self.rows.items():
            counts = self.outcomes[row]
            good = bool(counts["passed"]) and not counts["failed"]
            proven += good
            words = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "no test"
            terminalreporter.write_line(f"{'proven' if good else '-':7} {row:16} {words:28} {about[:80]}")
        terminalreporter.write_line(f"{proven} of {len(self.rows)} rows are proven by a passing test")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the report's switch."""
    parser.addoption("--contract-report", action="store_true",
                     help="print which rows of the feature contract have a passing test")
    parser.addoption("--contract-record", type=Path, help="keep this run's outcomes in a file")
    parser.addoption("--contract-recorded", type=Path, action="append", default=[],
                     help="count the outcomes kept in a file, too; may be given several times")


def pytest_configure(config: pytest.Config) -> None:
    """Start the report when it is asked for."""
    shown, record = config.getoption("--contract-report"), config.getoption("--contract-record")
    if shown or record:
        report = ContractReport(read_rows(), shown=shown, record=record,
                                recorded=config.getoption("--contract-recorded"))
        config.pluginmanager.register(report, "contract-report")


@pytest.fixture(autouse=True)
def _no_machine_configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the OpenStack settings of whoever runs the tests out of them."""
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_CLIENT_CONFIG_FILE", "OS_TOKEN", "OS_USERNAME", "OS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    yield
