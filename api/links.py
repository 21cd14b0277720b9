"""Absolute URLs in answers: below the configured public URL, else below what the request calls this api."""

from __future__ import annotations

import re

import falcon
from oslo_config import cfg

from hostler import errors

# A name or an address, and a port (RFC 9110, 7.2): what goes into links and headers as it came.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))(?::[0-9]{1,5})?")


def check_host(request: falcon.Request) -> None:
    """Raise Invalid when the Host header is neither a host nor a host and a port; none at all is fine (HTTP/1.0)."""
    named = request.env.get("HTTP_HOST")
    if named is not None and not _HOST.fullmatch(named):
        raise errors.Invalid(reason="The Host header must be a host name or an address, and a port.")


def base_url(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the URL clients reach this api at, without a path: configured, else as the request named it."""
    return conf.api.public_url.rstrip("/") or request.prefix


def own_url(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the request's own URL, with its query."""
    return base_url(conf, request) + request.relative_uri
