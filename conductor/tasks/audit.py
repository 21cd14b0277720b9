"""The task of the doctor's operation."""

from __future__ import annotations

from typing import Any

from conductor.audit.examine import examine
from conductor.tasks.base import OperationTask


class ExamineCloud(OperationTask):
    """Look for what is wrong and mend it when told. Revert: nothing to undo; run again, it begins anew."""

    default_provides = "report"

    def execute(self) -> dict[str, Any]:
        """Return the report (`conductor.audit.examine.examine`)."""
        arguments = self.run.arguments
        return examine(self.run, checks=arguments.get("checks", ()), repair=bool(arguments.get("repair")),
                       delete_unknown=bool(arguments.get("delete_unknown")))
