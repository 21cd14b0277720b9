"""The feature contract: which of its rows (`tests/contract_rows.txt`) have a passing test.

A run with `--contract-record FILE` keeps how the tests of each row ended. Run as a program with such files
(`tox -e contract`), this module prints each row with the outcomes of all recorded runs.
"""

from __future__ import annotations

import collections
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROWS_FILE = Path(__file__).resolve().parent.parent / "contract_rows.txt"
Outcomes = dict[str, collections.Counter[str]]  # row id → outcome of a test → number of tests


def read_rows(path: Path = ROWS_FILE) -> dict[str, str]:
    """Return row id → what the row is about."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {row: about.strip() for row, _, about in (line.partition(" ") for line in lines)}


class Recorder:
    """A pytest plugin that fails a run whose tests name unknown rows, and keeps how each row's tests ended."""

    def __init__(self, rows: dict[str, str], file: Path | None) -> None:
        self._rows = rows
        self._file = file
        self._outcomes: Outcomes = {row: collections.Counter() for row in rows}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember each test's rows."""
        for item in items:
            carried = [str(row) for mark in item.iter_markers("contract") for row in mark.args]
            unknown = sorted(set(carried) - set(self._rows))
            if unknown:
                raise pytest.UsageError(f"{item.nodeid} names unknown contract rows: {', '.join(unknown)}")
            # Properties travel with a test's report, also from the processes of pytest-xdist.
            item.user_properties.extend(("contract", row) for row in carried)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count how each row's tests ended: a test passes once, but fails or skips in any of its phases."""
        if report.when == "call" or report.outcome != "passed":
            for name, row in report.user_properties:
                if name == "contract":
                    self._outcomes[str(row)][report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file, once for all worker processes."""
        if self._file is not None and not hasattr(session.config, "workerinput"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._outcomes))


def read_outcomes(files: Iterable[Path], rows: Iterable[str]) -> Outcomes:
    """Return the outcomes of several recorded runs together."""
    outcomes: Outcomes = {row: collections.Counter() for row in rows}
    for file in files:
        for row, counts in json.loads(file.read_text()).items():
            if row in outcomes:
                outcomes[row].update(counts)
    return outcomes


def report(rows: dict[str, str], outcomes: Outcomes) -> Iterator[str]:
    """Give the table's lines and its sum."""
    proven = 0
    for row, about in rows.items():
        counts = outcomes[row]
        good = bool(counts["passed"]) and not counts["failed"]
        proven += good
        words = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items())) or "no test"
        yield f"{'proven' if good else '-':7} {row:16} {words:28} {about[:80]}"
    yield f"{proven} of {len(rows)} rows are proven by a passing test"


def main(arguments: list[str]) -> None:
    """Print the contract as the recorded runs prove it."""
    files = [Path(argument) for argument in arguments]
    for missing in (file for file in files if not file.exists()):
        print(f"No run is recorded in {missing.name}: its tests are not counted.")
    rows = read_rows()
    print(*report(rows, read_outcomes((file for file in files if file.exists()), rows)), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
