"""Error messages in the reader's language.

An error is a template with fields, so it can be worded again where the answer is written: the template is looked up in
the gettext catalogs of domain `hostler` (below `HOSTLER_LOCALEDIR`, else the system's). What has no translation, and
what was raised with a text of its own, stays as it is.
"""

from __future__ import annotations

import functools
import gettext
import os
from collections.abc import Callable

from hostler import errors

DOMAIN = "hostler"
_MAX_LANGUAGES = 5


def preferred(accept_language: str) -> tuple[str, ...]:
    """Return the languages of an Accept-Language header (RFC 9110, 12.5.4), best first, as locale names.

    >>> preferred("zh-TW;q=0.8, de-AT, en;q=0.1")
    ('de_AT', 'zh_TW', 'en')
    """
    found: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if tag and tag != "*" and weight > 0:
            language, _, region = tag.strip().partition("-")
            found.append((weight, f"{language.lower()}_{region.upper()}" if region else language.lower()))
    found.sort(key=lambda pair: -pair[0])
    return tuple(language for _, language in found[:_MAX_LANGUAGES])


@functools.lru_cache(maxsize=64)
def lookup(languages: tuple[str, ...]) -> Callable[[str], str]:
    """Return the function that gives a template in the first of `languages` that has a catalog."""
    return gettext.translation(DOMAIN, os.environ.get("HOSTLER_LOCALEDIR"), languages=languages, fallback=True).gettext


def in_language(error: errors.HostlerError, accept_language: str | None) -> errors.HostlerError:
    """Return `error` worded for the reader of `accept_language`."""
    if not accept_language:
        return error
    languages = preferred(accept_language)
    if not languages or languages[0].startswith("en"):
        return error
    template = lookup(languages)(error.template)
    try:
        if template == error.template or str(error) != error.template.format(**error.fields):
            return error
        return type(error)(template.format(**error.fields), **error.fields)
    except (KeyError, IndexError):
        # The text is the error's own, not the template's, or a catalog names a field that is not there.
        return error
