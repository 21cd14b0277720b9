"""Names that clients later put into a URL: metadata keys, extra specs, tags, key pairs.

URL libraries resolve `.` and `..` before they send a request, and percent-encoding does not help, since a dot is never
encoded. `DELETE /servers/{id}/metadata/..` therefore arrives as `DELETE /servers/{id}` and deletes the server. Such
names are refused where they are given, in the JSON schema (`SAFE`) or in code (`check_name`):

>>> pattern = f"^{SAFE}[a-zA-Z0-9-_:. ]{{1,255}}$"

A name with slashes (`kubernetes.io/created-for/pvc`) passes as long as none of its parts is `.` or `..`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hostler import errors

# Goes right behind the `^` of a pattern. Some URL libraries decode an escaped dot first, so `%2e` counts as one.
SAFE: Final = r"(?!(?:[^/]*/)*(?:\.|%2[eE]){1,2}(?:/|$))"
# For names that may otherwise be any text.
NAME_SCHEMA: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "pattern": f"^{SAFE}[^/\\x00]+$"}
_SAFE = re.compile(SAFE)


def check_name(field: str, name: str, *, slashes: bool = False) -> None:
    """Raise InvalidField for a name that a URL cannot carry: empty, or with a part `.` or `..`.

    Without `slashes` a slash is refused, too.
    """
    if not name or "\x00" in name or not _SAFE.match(name) or ("/" in name and not slashes):
        reason = "It must not be empty, '.' or '..'" + ("." if slashes else ", nor contain a slash.")
        raise errors.InvalidField(field=field, value=name[:80], reason=reason)
