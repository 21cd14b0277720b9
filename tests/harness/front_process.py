"""The front alone as a process, before an application that knows one token: `python -m tests.harness.front_process`.

Options of `[api]` are its arguments (`tls_certificate=/path`); it prints its URL and serves until standard input ends.
"""

from __future__ import annotations

import sys
from typing import Any

from api.front import gateway
from tests.harness.front import serving

TOKEN = "a-token"


def answer(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
    """Answer with the caller's name; bodies are not read before it is known."""
    if environ.get("HTTP_X_AUTH_TOKEN") != TOKEN:
        return "401 Unauthorized", [b"stranger"]
    # So that it also runs before a front that does not ask.
    if (known := environ.get(getattr(gateway, "AUTHENTICATED", ""))) is not None:
        known()
    return "200 OK", [b"member"]


def main() -> None:
    """Serve."""
    with serving(answer, **dict(argument.split("=", 1) for argument in sys.argv[1:])) as url:
        print(url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
