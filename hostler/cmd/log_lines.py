r"""What may stand in a log line: one line each, nothing that a terminal obeys, no secret.

Paths, names and headers reach the log as users send them. So a line break in a message is written as `\x0a`, and a user
cannot forge the next line. Signatures of image URLs, tokens and passwords in URLs are cut out, also of tracebacks:
a reader of the log must not be able to do what its lines describe.
"""

from __future__ import annotations

import copy
import logging
import re

_SECRET = re.compile(
    r"(signature=)[^&\s\"']+"  # of an image URL
    r"|((?:://|,)[^/?#\s:@,]*:)[^/?#\s@,]+(?=@)"  # a password in a URL, which may name several hosts
    r"|(token(?:=|%3[Dd])|os-console-auth-tokens/)[\w-]+"  # of a console
    r"|gAAAAA[\w-]{20,}={0,2}")  # a Fernet token
# Most lines hold none of these, and looking for three texts is cheaper than for a pattern.
_HINTS = ("signature=", "gAAAAA", "://", "token")


def hide_secrets(text: str) -> str:
    """Return `text` with stars for its secrets.

    >>> hide_secrets("GET /image/blobs/ab?expires=9&signature=s3cret")
    'GET /image/blobs/ab?expires=9&signature=***'
    """
    if not any(hint in text for hint in _HINTS):
        return text
    return _SECRET.sub(r"\1\2\3***", text)


def escape(text: str, keep: str = "") -> str:
    r"""Return `text` with what does not print written as Python would, but for the characters in `keep`.

    >>> escape("a\nb\x1b[2J")
    'a\\x0ab\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _as_written(char) for char in text)


def _as_written(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


class LineFormatter(logging.Formatter):
    """Formats as another formatter does, and keeps the rules above; a traceback keeps its lines."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback's lines below it."""
        plain = copy.copy(record)
        plain.msg, plain.args = escape(record.getMessage()), ()
        text = self._formatter.format(plain)
        below = f"\n{plain.exc_text}" if plain.exc_text else ""
        head = text.removesuffix(below) if below else text
        return hide_secrets(escape(head) + escape(text[len(head):], keep="\n"))

    def formatException(self, ei: object) -> str:
        """Return a traceback, for handlers that write it on its own."""
        return hide_secrets(escape(self._formatter.formatException(ei), keep="\n"))  # type: ignore[arg-type]


def install() -> None:
    """Have all handlers of the root logger keep the rules."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LineFormatter(handler.formatter or logging.Formatter()))
