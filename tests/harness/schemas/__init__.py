"""What the published APIs answer: every answer of a test cloud is compared with it (see `tests.harness.answers`).

One module for each face, with one function:

    check(method, path, microversion, status, body, action=None) -> what is wrong, or None

`path` is what follows the face's prefix (`/v2.1/servers/detail`), `microversion` a pair or None, `body` the decoded
JSON or None when there is none, `action` the member that names the action in the body of a POST …/action. Members that
the published schema lacks are wrong, and so is a status other than the published one. Errors are compared with the
face's error body. An operation that the reference does not have is a problem, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.harness.schemas import compute, identity, image, network, volume

Version = tuple[int, int]
Check = Callable[[str, str, Version | None, int, Any, str | None], str | None]

CHECKS: dict[str, Check] = {
    "/compute": compute.check,
    "/identity": identity.check,
    "/image": image.check,
    "/network": network.check,
    "/volume": volume.check,
}


def check(method: str, path: str, microversion: Version | None, status: int, body: Any,
          action: str | None = None) -> str | None:
    """Return what is wrong with an answer of whichever face serves `path`, or None."""
    for prefix, check_face in CHECKS.items():
        if path == prefix or path.startswith(prefix + "/"):
            return check_face(method, path.removeprefix(prefix), microversion, status, body, action)
    return None
