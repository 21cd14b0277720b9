"""Options of the image store."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "image"

OPTS = [
    cfg.StrOpt("store_dir", default="",
               help="Directory of the image files. Empty: <state_path>/images. Agents that share it read it directly."),
    cfg.IntOpt("max_size_gib", default=100, min=1, help="Largest image that is accepted, GiB."),
    cfg.IntOpt("max_virtual_size_gib", default=16384, min=1,
               help="Largest disk that the data of an accepted image may describe, GiB; a qcow2 file of a few KiB can "
                    "describe any."),
    cfg.IntOpt("url_ttl", default=3600, min=60, help="Seconds for which an agent's signed download URL is valid."),
    cfg.IntOpt("upload_ttl", default=86400, min=60,
               help="Seconds for which a volume agent's signed upload URL is valid; it converts the volume first."),
]
