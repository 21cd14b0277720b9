"""Absolute URLs in answers."""

from __future__ import annotations

import falcon
from oslo_config import cfg


def base_url(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the URL clients reach this api at, without a path: configured, else as the request named it."""
    return conf.api.public_url.rstrip("/") or request.prefix
