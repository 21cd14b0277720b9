"""hostler-manage doctor: warns of weak settings of this machine; has the cloud examined, reports what is wrong, and
repairs it on request.

The settings come first, since they need nothing but the configuration. The examination is an operation (cloud.audit)
that a conductor runs, since conductors reach every agent; this command reaches the database alone. Exit status:
0 nothing is wrong, 1 something was found, 2 not everything could be examined.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from oslo_config import cfg

from hostler import errors
from hostler.cmd import weak_settings
from hostler.cmd.reports import wait as _wait
from hostler.context import RequestContext
from hostler.db import version
from hostler.db.engine import Database
from hostler.operations import doctor

NOTHING, FOUND, NOT_SEEN = 0, 1, 2


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--repair", action="store_true", help="repair what is found; without it nothing is changed")
    parser.add_argument("--delete-unknown", action="store_true",
                        help="with --repair: also remove data and guests that no record tells of. Not after the "
                             "database was restored from a backup: they may still be in use")
    parser.add_argument("--check", action="append", default=[], metavar="NAME",
                        help="look for this alone; may be repeated. Names are those that findings show in brackets")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--settings", action="store_true",
                        help="look at this machine's settings alone; needs neither database nor conductor, so it also "
                             "works on hosts and storage nodes")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait for the report; default 600")


def run(conf: cfg.ConfigOpts) -> None:
    """Warn, examine, print; ends the process with one of the statuses above."""
    command = conf.command
    weak = weak_settings.find(conf)
    if command.settings:
        print(json.dumps([dataclasses.asdict(each) for each in weak], indent=2) if command.json
              else "\n".join(map(_warning, weak)) or "No weak settings.")
        sys.exit(FOUND if weak else NOTHING)
    say = _say_nothing if command.json else _say
    say(*map(_warning, weak))
    report: dict[str, Any] = {}
    try:
        if command.delete_unknown and not command.repair:
            raise errors.Invalid(reason="--delete-unknown goes with --repair.")
        database = version.open_database(conf)
        known = weak_settings.find_known_passwords(conf, database)
        say(*map(_warning, known))
        weak += known
        report = _examine(database, command)
    except errors.HostlerError as error:
        report["error"] = str(error)
        print(f"doctor: the cloud was not examined: {error}", file=sys.stderr)
    if command.json:
        print(json.dumps({**report, "settings": [dataclasses.asdict(each) for each in weak]}, indent=2))
    if "error" in report:
        sys.exit(NOT_SEEN)
    say(readable(report, repaired=command.repair))
    sys.exit(status_of(report))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def _say_nothing(*_: str) -> None:
    """What `--json` says before the end: it is one object."""


def _warning(weak: weak_settings.Weakness) -> str:
    return f"warning: {weak.setting} {weak.problem}\n    {weak.remedy}"


def status_of(report: dict[str, Any]) -> int:
    """Return the exit status for a report; findings that are only for information do not count."""
    if any(not finding["info"] for finding in report["findings"]):
        return FOUND
    return NOT_SEEN if report["unseen"] else NOTHING


def readable(report: dict[str, Any], *, repaired: bool) -> str:
    """Return a report as lines for people."""
    lines = []
    for finding in report["findings"]:
        place = f" ({finding['place']})" if finding["place"] else ""
        lines.append(f"[{finding['check']}] {finding['type']} {finding['id']}{place} {finding['problem']}")
        if not finding["info"]:
            lines.append(f"    {_what_about_it(finding, repaired=repaired)}")
    lines += [f"could not look at {text}" for text in report["unseen"]]
    wrong = sum(1 for finding in report["findings"] if not finding["info"])
    left = report["total"] - len(report["findings"])
    lines.append(f"{wrong} found" + (f"; {left} more are not shown: repair these first" if left else "") if wrong
                 else "Nothing is wrong" + (" where it could be looked at." if report["unseen"] else "."))
    return "\n".join(lines)


def _what_about_it(finding: dict[str, Any], *, repaired: bool) -> str:
    if repaired:
        return str(finding["outcome"])
    if finding["remedy"] is None:
        return "a person must decide"
    return f"--repair{' --delete-unknown' if finding['unknown'] else ''} would {finding['remedy']}"


def _examine(database: Database, command: Namespace) -> dict[str, Any]:
    """Return a conductor's report; raises Unavailable when there is none in time, Conflict when it failed."""
    operation_id = database.write(lambda session: doctor.accept_audit(
        session, RequestContext.system(), checks=command.check, repair=command.repair,
        delete_unknown=command.delete_unknown).id)
    print(f"doctor: waits up to {command.timeout:g} s for a conductor's report.", file=sys.stderr)
    try:
        return _wait(database, operation_id, command.timeout)
    except KeyboardInterrupt:
        # Left behind, it would keep the next doctor out until a conductor has worked on it.
        doctor.withdraw(database, operation_id)
        sys.exit(NOT_SEEN)
