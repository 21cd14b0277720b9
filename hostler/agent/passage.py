"""Private directories through which certain other users of the host may pass, but which they may not list.

QEMU runs as a user of its own, to which libvirt gives the files of a guest, and so does dnsmasq: both must pass through
the agent's directories. Mode 0711 would let everybody pass. So the directories are 0700, with an entry in their access
list (acl(5)) for each of these users. A file system without access lists (some NFS) gets 0711.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pwd
import struct
from collections.abc import Iterable
from pathlib import Path

from hostler.agent.files import make_directory

LOG = logging.getLogger(__name__)

# What QEMU's user is called by the distributions' packages of libvirt, and dnsmasq's by theirs.
QEMU_USERS = ("libvirt-qemu", "qemu")
DHCP_USERS = ("dnsmasq", "nobody")

# linux/posix_acl_xattr.h: the attribute, its version, an entry (tag, permissions, id), tags in their order.
_ATTRIBUTE = "system.posix_acl_access"
_HEAD, _ENTRY, _VERSION = struct.Struct("<I"), struct.Struct("<HHI"), 2
_OWNER, _USER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_ALL, _PASS, _NONE = 7, 1, 0


def first_user(names: Iterable[str]) -> pwd.struct_passwd | None:
    """Return the first of these users that the host has."""
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def can_reach(user: pwd.struct_passwd, directory: Path) -> bool:
    """Return whether all that is above a directory lets everybody pass, or the user is the superuser."""
    return user.pw_uid == 0 or all(parent.stat().st_mode & 0o001 for parent in directory.parents)


def make_passage(directory: Path, *users: pwd.struct_passwd | None) -> None:
    """Make a directory, and its parents, private but for `users` who may pass; also one that is there already."""
    uids = sorted({user.pw_uid for user in users if user is not None and user.pw_uid != os.geteuid()})
    if not uids or os.geteuid() != 0:
        make_directory(directory, 0o700)
        return
    entries = [(_OWNER, _ALL, _NOBODY), *((_USER, _PASS, uid) for uid in uids), (_GROUP, _NONE, _NOBODY),
               (_MASK, _PASS, _NOBODY), (_OTHER, _NONE, _NOBODY)]
    wanted = _HEAD.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in entries)
    with contextlib.suppress(OSError):
        if os.getxattr(directory, _ATTRIBUTE) == wanted:
            return  # to set the mode would close the passage for a moment
    make_directory(directory, 0o700)
    try:
        os.setxattr(directory, _ATTRIBUTE, wanted)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        LOG.warning("%s is on a file system without access lists: every user of the host may pass through it",
                    directory)
        directory.chmod(0o711)
