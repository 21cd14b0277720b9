"""Volumes as files in a directory: qcow2 or raw, on a local file system or a network mount.

Hosts that have the directory open the files themselves; the others reach them through one qemu-nbd process for each
attachment. `driver` is the interface, `directory` the directory with its marks, `files` the disks in it, `exports` what
is exported, `nbd` the processes that do it, `tls` whom they let in.
"""

from __future__ import annotations

from pathlib import Path

from oslo_config import cfg

from volume.drivers.driver import Driver
from volume.drivers.file.directory import Directory
from volume.drivers.file.driver import FileDriver
from volume.drivers.file.exports import Exports
from volume.drivers.file.files import DiskFiles
from volume.drivers.file.tls import Credentials
from volume.drivers.loading import BackendConfig

OPTS = [
    cfg.StrOpt("directory", default="",
               help="Directory of the volumes, this back end's alone; may be on a network mount. It must be there, "
                    "unless empty: <state_path>/volumes/<name of the back end>."),
    cfg.StrOpt("format", default="qcow2", choices=["qcow2", "raw"],
               help="Format of new volumes' files. Only raw ones can be attached to several servers at once. A "
                    "volume type may say otherwise by its extra spec hostler:format."),
    cfg.StrOpt("preallocation", default="off", choices=["off", "falloc", "full"],
               help="Whether a new volume takes its whole size at once: off grows as it is written, falloc reserves, "
                    "full writes zeros."),
    cfg.StrOpt("client_subject", default="CN={host}",
               help="Whole subject of a host's client certificate, as the exports compare it; {host} stands for the "
                    "host's name. The default fits the certificates of hostler-manage pki."),
]


def build(backend: BackendConfig) -> Driver:
    """Put the driver of one back end together."""
    options, volume = backend.options, backend.conf.volume
    # Absolute: the processes that outlive the agent name them, and are known by that.
    path = (Path(options.directory) if options.directory else backend.layout.volumes(backend.name)).absolute()
    root = backend.layout.root.absolute()
    credentials = Credentials(Path(volume.tls_dir) if volume.tls_dir else None, options.client_subject,
                              insecure=volume.insecure_exports)
    exports = Exports(root / "exports", backend.name, address=str(volume.my_ip),
                      ports=volume.export_ports, credentials=credentials)
    directory = Directory(path, owner=f"{backend.node}@{backend.name}", own=not options.directory,
                          memory=root / "shares" / backend.name)
    files = DiskFiles(path, default_format=options.format, preallocation=options.preallocation)
    return FileDriver(directory, files, exports)
