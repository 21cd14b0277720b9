"""Finding and repairing: every check over two inventories, then each finding again under its lock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from conductor.audit.check import Check
from conductor.audit.evidence import Inventory, gather
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.registry import CHECKS
from conductor.audit.repair import Repairs
from conductor.run import Run
from hostler import errors

LOG = logging.getLogger(__name__)

# What is kept of one examination; a cloud with more has one cause, and is examined again once that is repaired.
MAX_FINDINGS = 500


def examine(run: Run, *, checks: Sequence[str] = (), repair: bool = False, delete_unknown: bool = False
            ) -> dict[str, Any]:
    """Return {"findings": [maps of `Finding.to_map`], "total": how many there were, "unseen": [texts]}.

    `checks` are names of `CHECKS` (none: all). Raises Invalid for a name that is none.
    """
    chosen = choose(checks)
    repairs = Repairs(run, delete_unknown=delete_unknown)
    repairs.let_go()
    found, unseen = _look_twice(run, chosen)
    outcomes = [_repair(repairs, check, finding) if repair else None for check, finding in found[:MAX_FINDINGS]]
    return {"findings": [finding.to_map(outcome) for (_, finding), outcome in zip(found, outcomes, strict=False)],
            "total": len(found), "unseen": list(unseen)}


def choose(names: Sequence[str]) -> list[Check]:
    """Return the checks that go by these names, all for none."""
    unknown = set(names) - {check.name for check in CHECKS}
    if unknown:
        raise errors.Invalid(reason=f"There is no check {', '.join(sorted(unknown))}; there are "
                                    f"{', '.join(check.name for check in CHECKS)}.")
    return [check for check in CHECKS if not names or check.name in names]


def _look_twice(run: Run, checks: Sequence[Check]) -> tuple[list[tuple[Check, Finding]], tuple[str, ...]]:
    """Return what is wrong in two looks: what an operation changed during the first is right in the second."""
    inventory = gather(run)
    first = _find(run, checks, inventory)
    if not first:
        return [], inventory.unseen
    again = {finding.key for _, finding in _find(run, checks, gather(run))}
    return [(check, finding) for check, finding in first if finding.key in again], inventory.unseen


def _find(run: Run, checks: Sequence[Check], inventory: Inventory) -> list[tuple[Check, Finding]]:
    with run.reading() as session:
        return [(check, finding) for check in checks for finding in check.find(session, inventory)]


def _repair(repairs: Repairs, check: Check, finding: Finding) -> str:
    if finding.remedy is None:
        return "left: a person must decide"
    if finding.unknown and not repairs.delete_unknown:
        return "left: no record tells whose data it is; --delete-unknown removes it"
    run = repairs.run
    try:
        with repairs.hold(finding.hold):
            now = gather(run, nodes=[finding.node] if finding.node else [],
                         hosts=[finding.host] if finding.host else [])
            with run.reading() as session:
                keys = {again.key: again for again in check.find(session, now)}
            if finding.key not in keys:
                return "nothing to do: it is right now"
            done = check.repair(repairs, keys[finding.key])
    except NotRepaired as reason:
        return f"left: {reason}"
    LOG.warning("doctor: %s %s: %s: %s", finding.target.type, finding.target.id, finding.problem, done)
    return done
