"""Options of the api service."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "api"

OPTS = [
    cfg.HostAddressOpt("bind_host", default="0.0.0.0", help="Address the HTTP server listens at."),
    cfg.PortOpt("bind_port", default=8780, help="Port the HTTP server listens at; every face is a path below it."),
    cfg.StrOpt("public_url", default="",
               help="URL at which clients reach this api, without a path (e.g. http://cloud.example.org:8780). "
                    "Empty: taken from each request's Host header."),
    cfg.IntOpt("threads", default=32, min=1, max=1024, help="Requests served at the same time by one process."),
    cfg.IntOpt("max_limit", default=1000, min=1, help="Most items in one page of a list."),
    cfg.IntOpt("max_body_bytes", default=1048576, min=1024,
               help="Largest JSON body that is accepted, in bytes; image data is not limited by it."),
    cfg.IntOpt("token_cache_seconds", default=5, min=0, max=300,
               help="Seconds that a validated token's roles are remembered; a revoked role or a disabled user "
                    "keeps working that long at most. 0 looks each time."),
    cfg.StrOpt("tls_certificate", default="", help="PEM file with the certificate chain; empty serves plain HTTP."),
    cfg.StrOpt("tls_private_key", default="", help="PEM file with the certificate's private key."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
