"""Options of consoles: the proxy that browsers reach, and the relay on each host that the proxy reaches."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "console"

# What a compute agent reads.
AGENT_OPTS = [
    cfg.HostAddressOpt("relay_host", default="127.0.0.1",
                       help="Address at which a compute agent takes connections of the console proxies. Other "
                            "addresses than loopback need tls_dir."),
    cfg.PortOpt("relay_port", default=0, min=0,
                help="Port of the agent's relay. 0: any free one; name it where a firewall must let it pass."),
    cfg.StrOpt("proxyclient_address", default="",
               help="Address at which the proxies reach this host's relay. Empty: relay_host."),
    cfg.StrOpt("tls_dir", default="",
               help="Directory with the machine's certificates (hostler-manage pki-issue). An agent's relay then takes "
                    "only clients with a certificate of the same authority; a proxy connects as one, and accepts only "
                    "the host that it means. Empty: no TLS, for a proxy on the same machine."),
    cfg.ListOpt("proxy_names", default=[],
                help="Names in the certificates of the proxies (pki-issue --name); the relay refuses all others. "
                     "Empty: any machine of the authority."),
]

OPTS = [
    *AGENT_OPTS,
    cfg.HostAddressOpt("novncproxy_host", default="0.0.0.0", help="Address at which the console proxy listens."),
    cfg.PortOpt("novncproxy_port", default=6080, min=0,
                help="Port of the console proxy, for consoles of all kinds and their pages."),
    cfg.StrOpt("novncproxy_base_url", default="http://127.0.0.1:6080/vnc_auto.html",
               help="URL that users are given for VNC consoles; a token is added. It must lead to the proxy's page "
                    "vnc_auto.html, vnc_lite.html or vnc.html."),
    cfg.StrOpt("html5proxy_base_url", default="http://127.0.0.1:6080/spice_auto.html",
               help="URL that users are given for SPICE consoles; a token is added."),
    cfg.StrOpt("serial_base_url", default="ws://127.0.0.1:6080/",
               help="URL that users are given for serial consoles; a token is added. A ws: or wss: URL is for "
                    "programs; for browsers name the proxy's page, http://…/serial.html."),
    cfg.IntOpt("token_ttl", default=600, min=10, help="Seconds in which a console's URL must be opened."),
    cfg.BoolOpt("single_use", default=True,
                help="A console's URL opens it once. The connections of one SPICE session count as one."),
    cfg.ListOpt("allowed_origins", default=[],
                help="Host names of other sites whose pages may open consoles. The proxy's own, and those in the URLs "
                     "above, may."),
    cfg.StrOpt("tls_certificate", default="",
               help="PEM file with the proxy's certificate chain for browsers; empty serves plain HTTP."),
    cfg.StrOpt("tls_private_key", default="", help="PEM file with the certificate's private key."),
    cfg.IntOpt("max_connections", default=500, min=1, help="Connections that one proxy serves at the same time."),
    cfg.StrOpt("novnc_path", default="/usr/share/novnc", help="Directory of noVNC (Debian: the package novnc)."),
    cfg.StrOpt("spice_html5_path", default="/usr/share/spice-html5",
               help="Directory of the SPICE HTML5 client (Debian: the package spice-html5)."),
    cfg.StrOpt("xterm_path", default="/usr/local/lib/node_modules/@xterm/xterm",
               help="Directory of xterm.js (npm install -g @xterm/xterm; Debian 12's libjs-xterm is in parts that no "
                    "browser loads). Without it the serial page is a plain one."),
]
