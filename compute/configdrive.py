"""The config drive: the metadata documents on an ISO 9660 volume labelled `config-2`, as cloud-init looks for it.

Made by whichever of the usual ISO tools the host has. The documents are those of the metadata service.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from pathlib import Path

from compute import metadata
from hostler import errors
from hostler.resources.server.specs import ServerSpec

LOG = logging.getLogger(__name__)
TOOLS = ("genisoimage", "mkisofs", "xorrisofs")
TOOL_TIMEOUT_S = 60


def build(server: ServerSpec, path: Path) -> None:
    """Write the config drive of `server` to `path`; raises AgentError when the host has no ISO tool."""
    tool = next((found for name in TOOLS if (found := shutil.which(name))), None)
    if tool is None:
        raise errors.AgentError(reason="The host has no program to make a config drive (genisoimage or xorriso).")
    with tempfile.TemporaryDirectory(prefix="config-", dir=path.parent) as root:
        for name, body in documents(server).items():
            file = Path(root, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        command = [tool, "-o", str(path), "-quiet", "-V", "config-2", "-J", "-r", "-l", root]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            LOG.error("Config drive of server %s: %s: %s", server.id, error, error.stderr)
            raise errors.AgentError(reason="The config drive could not be made on the host.") from error


def documents(server: ServerSpec) -> dict[str, bytes]:
    """Return the drive's files: OpenStack's and EC2's directories, in every version that the metadata service has.

    As nova writes them: EC2's tree is one file, `meta-data.json`.
    """
    openstack, ec2 = metadata.openstack_documents(server), {"meta-data.json": metadata.ec2_json(server)}
    user_data = metadata.decode_user_data(server)
    if user_data is not None:
        ec2["user-data"] = user_data
    return {**{f"openstack/{version}/{name}": body for version in metadata.OPENSTACK_VERSIONS
               for name, body in openstack.items()},
            **{f"ec2/{version}/{name}": body for version in ("2009-04-04", "latest") for name, body in ec2.items()}}
