"""Options of the api service."""

from __future__ import annotations

import ipaddress

from oslo_config import cfg, types

GROUP = "api"


class _Network(types.String):
    """An address or a network."""

    def __call__(self, value: object) -> str:
        return str(ipaddress.ip_network(str(value).strip()))


OPTS = [
    cfg.HostAddressOpt("bind_host", default="0.0.0.0", help="Address the HTTP server listens at."),
    cfg.PortOpt("bind_port", default=8780, help="Port the HTTP server listens at; every face is a path below it."),
    cfg.StrOpt("public_url", default="",
               help="URL at which clients reach this api, without a path (e.g. http://cloud.example.org:8780). "
                    "Empty: taken from each request's Host header."),
    cfg.IntOpt("threads", default=32, min=1, max=1024, help="Requests served at the same time by one process."),
    cfg.IntOpt("operation_wait", default=15, min=0,
               help="Seconds for which a request waits for what clients expect to be done when they are answered: "
                    "attaching and detaching an interface, setting a password. What takes longer goes on. As long "
                    "waits a request for an operation that nobody sees (a volume or a NIC that comes or goes, a "
                    "snapshot in the making) to let go of the server or volume; after that it is refused."),
    cfg.IntOpt("max_limit", default=1000, min=1, help="Most items in one page of a list."),
    cfg.IntOpt("max_body_bytes", default=1048576, min=1024,
               help="Largest JSON body that is accepted, in bytes; image data is not limited by it."),
    cfg.IntOpt("token_cache_seconds", default=5, min=0, max=300,
               help="Seconds that a validated token's roles are remembered; a revoked role or a disabled user "
                    "keeps working that long at most. 0 looks each time."),
    cfg.IntOpt("max_connections", default=2048, min=1,
               help="Connections at the same time, in total. Never more than half of what the process may have open "
                    "(LimitNOFILE of the unit)."),
    cfg.IntOpt("connections_per_address", default=256, min=0,
               help="Connections at the same time from one address (IPv6: from one /64). For a further one the "
                    "longest idle is closed; where none is idle, the further one is. "
                    "0: no limit. Trusted proxies have none."),
    cfg.IntOpt("unauthenticated_connections", default=300, min=1,
               help="Connections at the same time, from all addresses, on which no valid token has come yet; beyond it "
                    "the oldest of the address that has most of them is closed. Each takes up to 150 KiB of memory "
                    "with TLS. Trusted proxies have no limit."),
    cfg.IntOpt("max_header_bytes", default=32768, min=4096,
               help="Largest request line and headers together, in bytes; answered with 431."),
    cfg.IntOpt("header_timeout", default=10, min=1,
               help="Seconds in which a request's line and headers must have come, since its first byte or since the "
                    "connection was made; answered with 408."),
    cfg.IntOpt("request_timeout", default=60, min=1,
               help="Seconds in which a JSON body must have come (408), and a client must take some of its answer. "
                    "Image data may take longer: see min_upload_rate."),
    cfg.IntOpt("keep_alive_timeout", default=60, min=1, help="Seconds that an idle connection is kept open."),
    cfg.IntOpt("min_upload_rate", default=1024, min=1,
               help="Bytes per second that a client uploading image data must send, over request_timeout seconds."),
    cfg.ListOpt("trusted_proxies", default=[], item_type=_Network(),
                help="Addresses or networks of the proxies before this api. From these, and from nobody else, "
                     "X-Forwarded-For and X-Forwarded-Proto tell the client's address and scheme. They are exempt "
                     "from connections_per_address."),
    cfg.IntOpt("address_rate", default=1000, min=0,
               help="Requests per second from one address (IPv6: from one /64), counted before authentication by each "
                    "api process; more are answered with 429 and Retry-After. 0: no limit."),
    cfg.IntOpt("address_burst", default=10000, min=1,
               help="Requests an address may send at once after a pause, before address_rate holds."),
    cfg.IntOpt("failed_login_rate", default=300, min=0,
               help="Failed logins per minute from one address, of whatever users; beyond it logins from there are "
                    "answered with 429 unchecked, since each check costs as much as a right one. 0: no limit."),
    cfg.IntOpt("failed_login_burst", default=100, min=1,
               help="Failed logins an address may have at once after a pause, before failed_login_rate holds; also the "
                    "most logins from one address that are checked at the same time."),
    cfg.IntOpt("user_rate", default=500, min=0, help="As address_rate, of one user. 0: no limit."),
    cfg.IntOpt("user_burst", default=5000, min=1, help="As address_burst, of one user."),
    cfg.IntOpt("project_rate", default=500, min=0,
               help="As address_rate, of all users of one project together. 0: no limit."),
    cfg.IntOpt("project_burst", default=5000, min=1, help="As address_burst, of one project."),
    cfg.StrOpt("tls_certificate", default="", help="PEM file with the certificate chain; empty serves plain HTTP."),
    cfg.StrOpt("tls_private_key", default="", help="PEM file with the certificate's private key."),
]
