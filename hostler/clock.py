"""Time: naive UTC `datetime` inside, ISO 8601 at the borders."""

from __future__ import annotations

import datetime as dt


def utcnow() -> dt.datetime:
    """Return the present time as naive UTC."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def iso_z(moment: dt.datetime | None) -> str | None:
    """Return `2026-01-31T12:00:00Z` (no fraction), or None."""
    return None if moment is None else moment.isoformat(timespec="seconds") + "Z"


def iso_micro(moment: dt.datetime | None) -> str | None:
    """Return `2026-01-31T12:00:00.000000` (fraction, no zone), or None."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def parse(text: str) -> dt.datetime:
    """Return naive UTC for an ISO 8601 text; raises ValueError when it is none."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment
