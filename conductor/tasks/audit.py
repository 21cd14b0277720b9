"""The task of the doctor's operation."""

from __future__ import annotations

from typing import Any

from conductor.audit.examine import examine
from conductor.tasks.base import OperationTask


class ExamineCloud(OperationTask):
    """Look for what is wrong, and repair it when told to. Revert: nothing to undo."""

    default_provides = "report"

    def execute(self, checks: tuple[str, ...], repair: bool, delete_unknown: bool) -> dict[str, Any]:
        """Return the report (`conductor.audit.examine.examine`)."""
        return examine(self.run, checks=checks, repair=repair, delete_unknown=delete_unknown)
