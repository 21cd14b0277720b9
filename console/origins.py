"""Which web pages may open consoles: a browser names the page's site in `Origin`.

Without this check any page that a user visits could use a console URL it had learned. Programs send no Origin.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from oslo_config import cfg


class Origins:
    """Knows the host names of our own pages."""

    def __init__(self, options: cfg.ConfigOpts.GroupAttr) -> None:
        bases = (options.novncproxy_base_url, options.html5proxy_base_url, options.serial_base_url)
        self._names = {name.lower() for name in options.allowed_origins} | {_name_of(base) for base in bases}

    def allows(self, origin: str | None, host: str | None) -> bool:
        """Return whether a page of `origin` may open consoles through the proxy that it reached as `host`."""
        if origin is None:
            return True
        name = _name_of(origin)
        return bool(name) and (name in self._names or name == _name_of(f"//{host or ''}"))


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
