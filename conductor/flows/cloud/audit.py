"""cloud.audit: the doctor looks for what is wrong, and repairs it when told to.

1. ExamineCloud   asks every agent what is there and compares (nothing to undo)
"""

from __future__ import annotations

from conductor.flows.ends import reports
from conductor.procedure import in_order
from conductor.tasks.audit import ExamineCloud
from hostler.operations.kinds import cloud as kinds

PROCEDURE = in_order(kinds.AUDIT, [ExamineCloud], reports("report"))
