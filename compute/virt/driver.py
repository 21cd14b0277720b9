"""What the agent needs of a hypervisor.

A driver knows guests by server id and touches only guests that carry this agent's host name. Every method may be
repeated: it describes the wanted state. `compute.virt.contract` holds the tests that each driver passes.
Drivers raise `errors.AgentError` (with a reason a user may read) when the hypervisor refuses, and
`errors.Unavailable` when it does not answer in time; never anything of their own.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from compute.virt.migration import Landing, Manner, Origin, Transfer
from hostler.agent.programs import Progress
from hostler.resources.server.hardware import Freeze
from hostler.resources.server.specs import ServerSpec

RUNNING = "running"  # the guest executes
PAUSED = "paused"  # frozen, in memory
SHUTDOWN = "shutdown"  # defined, switched off
CRASHED = "crashed"  # went down without being asked to
SUSPENDED = "suspended"  # saved to disk
NOSTATE = "nostate"  # the hypervisor has no such guest

ROOT_TARGET = "vda"
RESCUED_TARGET = "vdb"  # the root disk behind a rescue disk that took its place
RESCUE_TARGET = "vdaa"  # a rescue disk that leaves the others in theirs: sorts after all of them, which end at vdz

# Reasons that users read.
NOT_RUNNING = "The server does not run."
NO_AGENT = "The QEMU guest agent does not run in the guest."
NO_DRIVE = ("The server runs without a CD-ROM drive. It gets one when an ISO is attached while it is stopped, or when "
            "its image has the property hw_cdrom_bus.")

EVENT_STATES = {"started": RUNNING, "stopped": SHUTDOWN, "paused": PAUSED, "resumed": RUNNING,
                "suspended": SUSPENDED, "crashed": CRASHED, "removed": NOSTATE}


@dataclasses.dataclass(frozen=True)
class Disk:
    """One disk of a guest. `target` is the guest's name for it (`vda`); `format` qcow2 or raw."""

    path: Path
    target: str
    format: str = "qcow2"
    readonly: bool = False
    cdrom: bool = False  # it is in a drive of its own
    bus: str | None = None  # None: as the guest's other disks, or drives


@dataclasses.dataclass(frozen=True)
class FileSource:
    """A volume in a directory that this host sees."""

    path: Path


@dataclasses.dataclass(frozen=True)
class NbdSource:
    """A volume exported over NBD; `tls_name` is the name its server's certificate must carry."""

    host: str
    port: int
    export: str
    tls: bool = False
    tls_name: str | None = None


@dataclasses.dataclass(frozen=True)
class RbdSource:
    """A volume in a Ceph pool. `secret_id` names `key` where the hypervisor keeps it."""

    pool: str
    image: str
    monitors: tuple[str, ...]  # host:port
    user: str | None = None
    key: str | None = dataclasses.field(default=None, repr=False)
    secret_id: str | None = None


@dataclasses.dataclass(frozen=True)
class FakeSource:
    """A volume without data."""


Source = FileSource | NbdSource | RbdSource | FakeSource


@dataclasses.dataclass(frozen=True)
class VolumeDisk:
    """A volume as the hypervisor reaches it; the guest sees the beginning of `volume_id` as the disk's serial."""

    volume_id: str
    target: str
    source: Source
    format: str = "raw"
    cache: str = "none"
    readonly: bool = False
    shared: bool = False
    boot_index: int | None = None
    limits: Mapping[str, int] = dataclasses.field(default_factory=dict)  # by libvirt's name, read_bytes_sec …


@dataclasses.dataclass(frozen=True)
class Nic:
    """One network card: the host's bridge it is on and the name its tap device gets."""

    port_id: str
    mac_address: str
    bridge: str
    tap: str
    mtu: int


@dataclasses.dataclass(frozen=True)
class Guest:
    """Everything a driver makes a guest from."""

    server: ServerSpec
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    console_log: Path
    volumes: tuple[VolumeDisk, ...] = ()
    iso: Path | None = None  # in its CD-ROM drive

    @property
    def boot_target(self) -> str:
        """The disk of its own that the guest boots from, unless it boots from a volume and has none."""
        rescue = self.server.rescue
        return ROOT_TARGET if rescue is None or rescue.device is None else RESCUE_TARGET


@dataclasses.dataclass(frozen=True)
class Event:
    """Something happened to a guest, whatever caused it. `kind` is a key of `EVENT_STATES`; `at` ISO UTC."""

    server_id: str
    kind: str
    at: str
    revision: int = 0  # of the server's spec when it happened; the agent adds it, and the
    number: int = 0  # of the report (`hostler.agent.sequence`)

    @property
    def power_state(self) -> str:
        """The state the guest is in after the event."""
        return EVENT_STATES[self.kind]


@dataclasses.dataclass(frozen=True)
class HostInfo:
    """What the hypervisor says about its host."""

    hypervisor_type: str
    hypervisor_version: int
    hypervisor_hostname: str
    vcpus: int
    ram_mib: int
    running_servers: int
    arch: str = "x86_64"
    cpu_info: dict[str, Any] = dataclasses.field(default_factory=dict)
    traits: tuple[str, ...] = ()
    disk_gib: int | None = None  # None: the agent measures its state directory


Listener = Callable[[Event], None]
VolumeListener = Callable[[str, str], None]  # server id, volume id


def ignore_volume(_server_id: str, _volume_id: str) -> None:
    """Do not follow volumes."""


class Driver(Protocol):
    """One host's hypervisor."""

    @property
    def max_volumes(self) -> int:
        """How many volumes one server can have, root volume included."""

    def open(self) -> None:
        """Make ready; raises Unavailable or AgentError with what the operator must do."""

    def close(self) -> None:
        """Disconnect; guests keep running."""

    def set_event_listener(self, listener: Listener, on_resync: Callable[[], None],
                           on_volume_gone: VolumeListener = ignore_volume) -> None:
        """Send every event to `listener`, in order per guest, from a thread of the driver's.

        `on_resync` is called when events may have been missed (the hypervisor was unreachable), `on_volume_gone` when
        a running guest has let go of a volume, asked just now or long ago. None of them may block.
        """

    def list_servers(self) -> dict[str, str]:
        """Return power state by server id, of this agent's guests only."""

    def get_power_state(self, server_id: str) -> str:
        """Return the power state; NOSTATE when there is no such guest of ours."""

    def create(self, guest: Guest) -> None:
        """Define and start the guest, replacing an earlier definition; one that runs or is paused is left alone.

        A saved memory state of the guest is dropped: this is the path of boot, start and reboot.
        """

    def destroy(self, server_id: str) -> None:
        """Switch off and forget the guest with its saved state; fine when there is none."""

    def definition_of(self, server_id: str) -> str | None:
        """Return the guest's definition, in the hypervisor's own format; None when there is no such guest."""

    def restore(self, server_id: str, definition: str, *, start: bool) -> None:
        """Define the guest as an earlier `definition_of` said and, when `start`, start it.

        One that runs or is paused is left alone; a saved memory state of the guest is dropped.
        """

    def power_off(self, server_id: str) -> None:
        """Pull the plug, keep the definition, drop saved memory; fine when it is off or unknown."""

    def cut_power(self, server_id: str) -> None:
        """Pull the plug of a guest that runs; a suspended one keeps what it saved. Fine when it is off or unknown."""

    def shutdown(self, server_id: str) -> None:
        """Press the power button and return at once; fine when the guest is off."""

    def pause(self, server_id: str) -> None:
        """Freeze in memory. Raises AgentError when the guest is off."""

    def unpause(self, server_id: str) -> None:
        """Undo `pause`. Raises AgentError when the guest is off."""

    def suspend(self, server_id: str) -> None:
        """Save memory to disk and switch off. Raises AgentError when the guest is off."""

    def resume(self, server_id: str) -> None:
        """Undo `suspend`. Raises AgentError when there is nothing saved and the guest is off."""

    def attach_volume(self, server_id: str, disk: VolumeDisk) -> None:
        """Give the guest a volume, in its definition and at once when it runs; fine when it has it.

        Raises AgentError when there is no such guest.
        """

    def detach_volume(self, server_id: str, volume_id: str, *, ask: bool = True) -> bool:
        """Take a volume from the guest; returns whether neither the guest nor its definition has it (any more).

        A running guest has to let go, in its own time: it is asked when `ask`, and until it did its definition
        keeps the volume. True when there is no such guest.
        """

    def resize_volume(self, server_id: str, volume_id: str, size_bytes: int) -> bool:
        """Let a running guest see a volume grow (a file grows with it); False when it does not run.

        Raises AgentError where that cannot be, and for a volume it has not got.
        """

    def attach_interface(self, server: ServerSpec, nic: Nic) -> None:
        """Give the guest a NIC of its model, in its definition and at once when it runs; fine when it has it.

        Raises AgentError when there is no such guest, or no room for another device.
        """

    def detach_interface(self, server_id: str, port_id: str, *, ask: bool = True) -> bool:
        """As `detach_volume`, a NIC."""

    def change_medium(self, server_id: str, iso: Path | None) -> None:
        """Put an ISO into the guest's CD-ROM drive, or take out what is there; fine when there is no such guest.

        One that is off and has no drive gets one when it starts. Raises AgentError for a guest that runs without, or
        that keeps the tray locked.
        """

    def copy_disk(self, server_id: str, disk: Path, copy: Path, progress: Progress, *, freeze: Freeze) -> bool:
        """Write what a running guest's disk (a file of its own) holds at this moment to `copy`, a qcow2 without a base;
        returns False when the guest is off, or goes off in between.

        The guest keeps running. `copy` must not be there; what a failure leaves of it is worthless. `progress` is
        called with per cent, and what it raises ends the copy. Raises AgentError, also when the file systems cannot
        be frozen where they must be.
        """

    def end_copy(self, server_id: str) -> None:
        """End a copy that another process of the agent began, and thaw the guest; fine when there is neither."""

    def list_volumes(self) -> dict[str, list[str]]:
        """Return the volumes of each guest of ours by server id: what it has, when it runs, else its definition."""

    def describe_migration(self, server_id: str) -> Origin:
        """Return what a target must know of a guest that runs or is paused; raises AgentError for any other."""

    def prepare_migration(self, guest: Guest, origin: Origin, *, copied: tuple[str, ...], on_base: bool) -> Landing:
        """Return where `guest` can land here; raises AgentError with what its processor has and this host lacks."""

    def send_guest(self, server_id: str, landing: Landing, manner: Manner) -> None:
        """Send the guest, and return when it is there and gone from here; fine when it is gone already.

        May take hours. Raises MigrationAborted, or AgentError: the guest goes on here.
        """

    def get_migration(self, server_id: str) -> Transfer | None:
        """Return the progress of the guest's migration, also of one that an earlier agent began; None without one."""

    def abort_migration(self, server_id: str) -> None:
        """Stop sending; fine when nothing is sent."""

    def force_migration(self, server_id: str) -> None:
        """Have the guest write no more memory than can be sent: it runs at the target from now on (post-copy, where
        that was allowed), or stands still until it is there."""

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Set a user's password through the agent in the guest; raises AgentError where there is none."""

    def inject_nmi(self, server_id: str) -> None:
        """Send the guest a non-maskable interrupt. Raises AgentError when it is off."""

    def get_diagnostics(self, server_id: str) -> dict[str, Any]:
        """Return counters of the guest (see the Compute API's server diagnostics). Raises NotFound."""

    def list_consoles(self, server_id: str) -> frozenset[str]:
        """Return the consoles of a guest that runs (`vnc`, `spice`, `serial`), none when it is off. Raises NotFound."""

    def open_console(self, server_id: str, protocol: str) -> socket.socket:
        """Return a connection to a console. Raises NotFound, and AgentError for one that the guest does not have."""

    def get_host_info(self) -> HostInfo:
        """Return what the host offers. Raises Unavailable when the hypervisor does not answer."""
