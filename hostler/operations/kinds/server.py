"""Operations on servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from hostler.operations.kinds.arguments import Arguments, secret
from hostler.operations.kinds.kind import BRIEF, Forceful, Immediate, Kind
from hostler.resources.server import states

_SERVER: Final = ("server",)
_LIVING: Final = tuple(state for state in states.VM_STATES if state != states.DELETED)
_TAKES_NICS: Final = (states.ACTIVE, states.PAUSED, states.STOPPED, states.SHELVED_OFFLOADED)
_TAKES_ISOS: Final = (states.ACTIVE, states.PAUSED, states.STOPPED)
_HAS_A_DISK: Final = (states.ACTIVE, states.STOPPED, states.PAUSED, states.SUSPENDED)
_TAKES_VOLUMES: Final = (states.ACTIVE, states.PAUSED, states.STOPPED, states.RESIZED, states.SOFT_DELETED,
                         states.SHELVED, states.SHELVED_OFFLOADED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateServer(Arguments):
    """`volumes`: the server comes with some; `sources`: what a new one is made from (image, snapshot, None), by id."""

    admin_password: str | None = secret()
    volumes: bool = False
    sources: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reboot(Arguments):
    """`hard` turns the guest off and on without asking it."""

    hard: bool = False

    @classmethod
    def upgrade(cls, stored: dict[str, Any], version: int) -> dict[str, Any]:
        """Version 1 said "type": "HARD"."""
        found = super().upgrade(stored, version)
        return {"hard": found.pop("type") == "HARD", **found} if "type" in found else found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rescue(Arguments):
    """`image_id`: what the rescue disk is made from."""

    image_id: str
    admin_password: str | None = secret()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shelve(Arguments):
    """`image_id`: the image to fill, None when it boots from a volume; `offload`: it leaves its host at once."""

    image_id: str | None = None
    offload: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerVolume(Arguments):
    """One attachment of a server, and its volume."""

    attachment_id: str
    volume_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerPort(Arguments):
    """One NIC of a server."""

    port_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttachIso(Arguments):
    """`image_id`: what goes into the server's CD-ROM drive."""

    image_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rebuild(Arguments):
    """`stopped`: it was off, and is off afterwards; `image_id`: what the volume that it boots from is to hold, None
    when its content stays."""

    admin_password: str | None = secret()
    stopped: bool = False
    image_id: str | None = None
    attachment_id: str | None = None
    volume_id: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateImage(Arguments):
    """The image that gets the disk's content; of a server that boots from a volume, it names these snapshots."""

    image_id: str
    snapshot_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateBackup(CreateImage):
    """The image is one of a kind (`backup_type`: daily, weekly, …), of which the `rotation` newest are kept."""

    backup_type: str
    rotation: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evacuate(Arguments):
    """`host`: the target asked for; `stays_off`: the server is switched off there, whatever it was."""

    host: str | None = None
    stays_off: bool = False
    admin_password: str | None = secret()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Move(Arguments):
    """To another flavor or host, which the operation's migration names; `host` is the only target allowed."""

    host: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiveMigrate(Arguments):
    """The target's name, or the scheduler chooses; `force` keeps to it against zone and hints.

    `block_migration` says whether disks are copied; None: when the hosts share none.
    """

    host: str | None = None
    block_migration: bool | None = None
    force: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangePassword(Arguments):
    """The new password of the guest's administrator."""

    password: str | None = secret()


CREATE: Final = Kind(
    name="server.create", resources=_SERVER, arguments=CreateServer, ends_in=states.ACTIVE, action="create",
    shows={"server": "spawning", "volume": "attaching"}, waiting="scheduling")
DELETE: Final = Kind(
    name="server.delete", resources=_SERVER, arguments=Arguments, starts_in=_LIVING, ends_in=states.DELETED,
    action="delete", shows={"server": "deleting", "volume": "detaching"}, cancellable=False, cancels=True)
SOFT_DELETE: Final = Kind(
    name="server.soft_delete", resources=_SERVER, arguments=Arguments,
    starts_in=tuple(state for state in _LIVING if state not in (states.BUILDING, states.SOFT_DELETED)),
    ends_in=states.SOFT_DELETED, action="delete", shows={"server": "soft-deleting"}, cancels=True)
RESTORE: Final = Kind(
    name="server.restore", resources=_SERVER, arguments=Arguments, starts_in=(states.SOFT_DELETED,), action="restore",
    shows={"server": "restoring"})
SHELVE: Final = Kind(
    name="server.shelve", resources=_SERVER, arguments=Shelve,
    starts_in=(states.ACTIVE, states.STOPPED, states.PAUSED, states.SUSPENDED), ends_in=states.SHELVED,
    action="shelve", shows={"server": "shelving"})
SHELVE_OFFLOAD: Final = Kind(
    name="server.shelve_offload", resources=_SERVER, arguments=Arguments, starts_in=(states.SHELVED,),
    ends_in=states.SHELVED_OFFLOADED, action="shelveOffload",
    shows={"server": "shelving_offloading", "volume": "reserved"}, cancellable=False)
UNSHELVE: Final = Kind(
    name="server.unshelve", resources=_SERVER, arguments=Arguments,
    starts_in=(states.SHELVED, states.SHELVED_OFFLOADED), ends_in=states.ACTIVE, action="unshelve",
    shows={"server": "unshelving"})
START: Final = Kind(
    name="server.start", resources=_SERVER, arguments=Arguments, starts_in=(states.STOPPED,), ends_in=states.ACTIVE,
    action="start", shows={"server": "powering-on"})
STOP: Final = Kind(
    name="server.stop", resources=_SERVER, arguments=Arguments, starts_in=(states.ACTIVE, states.ERROR),
    ends_in=states.STOPPED, action="stop", shows={"server": "powering-off"})
REBOOT: Final = Kind(
    name="server.reboot", resources=_SERVER, arguments=Reboot, starts_in=(states.ACTIVE,), ends_in=states.ACTIVE,
    action="reboot", shows={"server": "rebooting"}, status="REBOOT",
    forceful=Forceful(starts_in=(states.ACTIVE, states.STOPPED, states.PAUSED, states.SUSPENDED, states.ERROR),
                      shows="rebooting_hard", status="HARD_REBOOT"))
PAUSE: Final = Kind(
    name="server.pause", resources=_SERVER, arguments=Arguments, starts_in=(states.ACTIVE,),
    ends_in=states.PAUSED, action="pause", shows={"server": "pausing"})
UNPAUSE: Final = Kind(
    name="server.unpause", resources=_SERVER, arguments=Arguments, starts_in=(states.PAUSED,), ends_in=states.ACTIVE,
    action="unpause", shows={"server": "unpausing"})
SUSPEND: Final = Kind(
    name="server.suspend", resources=_SERVER, arguments=Arguments, starts_in=(states.ACTIVE,),
    ends_in=states.SUSPENDED, action="suspend", shows={"server": "suspending"})
RESUME: Final = Kind(
    name="server.resume", resources=_SERVER, arguments=Arguments, starts_in=(states.SUSPENDED,),
    ends_in=states.ACTIVE, action="resume", shows={"server": "resuming"})
RESCUE: Final = Kind(
    name="server.rescue", resources=_SERVER, arguments=Rescue,
    starts_in=(states.ACTIVE, states.STOPPED, states.ERROR), ends_in=states.RESCUED, action="rescue",
    shows={"server": "rescuing"})
UNRESCUE: Final = Kind(
    name="server.unrescue", resources=_SERVER, arguments=Arguments, starts_in=(states.RESCUED,),
    ends_in=states.ACTIVE, action="unrescue", shows={"server": "unrescuing"})
ATTACH_VOLUME: Final = Kind(
    name="server.attach_volume", resources=_SERVER, arguments=ServerVolume, starts_in=_TAKES_VOLUMES,
    action="attach_volume", shows={"volume": "attaching"})
DETACH_VOLUME: Final = Kind(
    name="server.detach_volume", resources=_SERVER, arguments=ServerVolume, starts_in=_TAKES_VOLUMES,
    action="detach_volume", shows={"volume": "detaching"})
ATTACH_INTERFACE: Final = Kind(
    name="server.attach_interface", resources=_SERVER, arguments=ServerPort, starts_in=_TAKES_NICS,
    action="attach_interface")
DETACH_INTERFACE: Final = Kind(
    name="server.detach_interface", resources=_SERVER, arguments=ServerPort, starts_in=_TAKES_NICS,
    action="detach_interface")
ATTACH_ISO: Final = Kind(
    name="server.attach_iso", resources=_SERVER, arguments=AttachIso, starts_in=_TAKES_ISOS, action="attach_iso")
DETACH_ISO: Final = Kind(
    name="server.detach_iso", resources=_SERVER, arguments=Arguments, starts_in=_TAKES_ISOS, action="detach_iso")
REBUILD: Final = Kind(
    name="server.rebuild", resources=_SERVER, arguments=Rebuild,
    starts_in=(states.ACTIVE, states.STOPPED, states.ERROR), ends_in=states.ACTIVE, action="rebuild",
    shows={"server": "rebuilding", "volume": "downloading"}, status="REBUILD")
CREATE_IMAGE: Final = Kind(
    name="server.create_image", resources=_SERVER, arguments=CreateImage, starts_in=_HAS_A_DISK, action="createImage",
    shows={"server": "image_snapshot"})
CREATE_BACKUP: Final = Kind(
    name="server.create_backup", resources=_SERVER, arguments=CreateBackup, starts_in=_HAS_A_DISK,
    action="createBackup", shows={"server": "image_backup"})
EVACUATE: Final = Kind(
    name="server.evacuate", resources=_SERVER, arguments=Evacuate,
    starts_in=(states.ACTIVE, states.STOPPED, states.ERROR), action="evacuate", shows={"server": "rebuilding"},
    status="REBUILD", cancels=True)
RESIZE: Final = Kind(
    name="server.resize", resources=_SERVER, arguments=Move, starts_in=(states.ACTIVE, states.STOPPED),
    ends_in=states.RESIZED, action="resize", shows={"server": "resize_prep"}, status="RESIZE")
MIGRATE: Final = Kind(
    name="server.migrate", resources=_SERVER, arguments=Move, starts_in=(states.ACTIVE, states.STOPPED),
    ends_in=states.RESIZED, action="migrate", shows={"server": "resize_prep"}, status="RESIZE")
CONFIRM_RESIZE: Final = Kind(
    name="server.confirm_resize", resources=_SERVER, arguments=Arguments, starts_in=(states.RESIZED,),
    ends_in=states.ACTIVE, action="confirmResize", cancellable=False)
REVERT_RESIZE: Final = Kind(
    name="server.revert_resize", resources=_SERVER, arguments=Arguments, starts_in=(states.RESIZED,),
    ends_in=states.ACTIVE, action="revertResize", shows={"server": "resize_reverting"}, status="REVERT_RESIZE",
    cancellable=False)
LIVE_MIGRATE: Final = Kind(
    name="server.live_migrate", resources=_SERVER, arguments=LiveMigrate, starts_in=(states.ACTIVE, states.PAUSED),
    action="live-migration", shows={"server": "migrating"}, status="MIGRATING")
CHANGE_PASSWORD: Final = Kind(
    name="server.change_password", resources=_SERVER, arguments=ChangePassword, starts_in=(states.ACTIVE,),
    action="changePassword", shows={"server": "updating_password"}, status="PASSWORD", patience=BRIEF)
CRASH_DUMP: Final = Kind(
    name="server.crash_dump", resources=_SERVER, arguments=Arguments,
    starts_in=(states.ACTIVE, states.PAUSED, states.RESCUED, states.RESIZED, states.ERROR),
    action="trigger_crash_dump", patience=BRIEF)
RESET_NETWORK: Final = Kind(
    name="server.reset_network", resources=_SERVER, arguments=Arguments, action="resetNetwork", cancellable=False)
INJECT_NETWORK_INFO: Final = Kind(
    name="server.inject_network_info", resources=_SERVER, arguments=Arguments, action="injectNetworkInfo",
    cancellable=False)
UPDATE: Final = Kind(
    name="server.update", resources=_SERVER, arguments=Arguments, action="update", cancellable=False)

KINDS: Final = (SOFT_DELETE, RESTORE, SHELVE, SHELVE_OFFLOAD, UNSHELVE,
                CREATE, DELETE, START, STOP, REBOOT, PAUSE, UNPAUSE, SUSPEND, RESUME, RESCUE, UNRESCUE,
                ATTACH_VOLUME, DETACH_VOLUME, EVACUATE, UPDATE,
                ATTACH_INTERFACE, DETACH_INTERFACE, ATTACH_ISO, DETACH_ISO,
                REBUILD, CREATE_IMAGE, CREATE_BACKUP,
                RESIZE, MIGRATE, CONFIRM_RESIZE, REVERT_RESIZE, LIVE_MIGRATE,
                CHANGE_PASSWORD, CRASH_DUMP, RESET_NETWORK, INJECT_NETWORK_INFO)

LOCK: Final = Immediate(name="server.lock", action="lock")
UNLOCK: Final = Immediate(name="server.unlock", action="unlock")
RESET_STATE: Final = Immediate(name="server.reset_state", action="resetState")
ABORT_MIGRATION: Final = Immediate(name="server.abort_migration", action="live_migration_cancel")
FORCE_MIGRATION: Final = Immediate(name="server.force_migration", action="live_migration_force_complete")
EXTEND_VOLUME: Final = Immediate(name="server.extend_volume", action="extend_volume", step="ExtendVolume")

SET_BOOT_ORDER: Final = Immediate(name="server.set_boot_order", action="set_boot_order")
SET_CPU_MODE: Final = Immediate(name="server.set_cpu_mode", action="set_cpu_mode")
ADD_FIXED_IP: Final = Immediate(name="server.add_fixed_ip", action="addFixedIp")
REMOVE_FIXED_IP: Final = Immediate(name="server.remove_fixed_ip", action="removeFixedIp")

IMMEDIATE: Final = (LOCK, UNLOCK, RESET_STATE, ABORT_MIGRATION, FORCE_MIGRATION, EXTEND_VOLUME, ADD_FIXED_IP,
                    REMOVE_FIXED_IP, SET_BOOT_ORDER, SET_CPU_MODE)
