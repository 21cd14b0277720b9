"""The volumes a new server brings: found or made, in the one transaction that accepts the server.

>>> disks = prepare(services, session, context, arrangement, zone, count)   # holds what it names; before quota
>>> volumes = disks.write(servers)                                           # rows, quota, attachments
>>> accept(..., CreateServer(sources=volumes[server.id].sources, ...), also_lock=volumes[server.id].locks)

The zone of new volumes is the one the server was asked to be in. What must fail because of zones fails here, before
anything is written (see `_zone_of`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import orm

from api.core.server import device_names, volume_limit
from api.core.server.block_devices import Arrangement, BlockDevice
from api.core.volume import availability_zones as volume_zones
from api.core.volume import create as volume_create
from api.core.volume.create import NewVolume, VolumeRequest
from api.core.volume.usability import usable_volume
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Server, Volume, VolumeAttachment
from hostler.operations.accept import Target
from hostler.resources.volume import states as volume_states

_SOURCES = {"image": "image_id", "snapshot": "snapshot_id"}


@dataclasses.dataclass(frozen=True)
class ServerVolumes:
    """The volumes of one new server: what its operation locks, and what each new one is made from, by its id."""

    sources: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    locks: Sequence[Target] = ()


@dataclasses.dataclass(frozen=True)
class Disks:
    """Checked volumes of new servers. `zone` is where the servers must stand because of them (None: anywhere)."""

    devices: Sequence[tuple[BlockDevice, VolumeRequest | Volume]]
    zone: str | None = None

    @property
    def image_properties(self) -> dict[str, Any]:
        """What is known of the image on the volume that the servers boot from."""
        for device, found in self.devices:
            if device.boot_index == 0:
                known = found.image_metadata if isinstance(found, Volume) else (
                    found.source.image_metadata if found.source is not None else {})
                return dict(known)
        return {}

    def write(self, services: Services, session: orm.Session, context: RequestContext,
              servers: Sequence[Server]) -> dict[str, ServerVolumes]:
        """Claim quota for all new volumes together, write them and the attachments; returns by server id."""
        if not self.devices:
            return {server.id: ServerVolumes() for server in servers}
        requests = [found for _, found in self.devices if isinstance(found, VolumeRequest)]
        made = iter(volume_create.write(services, session, context, requests * len(servers)) if requests else ())
        volumes = {}
        for server in servers:
            used = device_names.local_names(ephemeral_gib=server.ephemeral_gib, swap_mib=server.swap_mib)
            sources: dict[str, str | None] = {}
            locks = []
            for device, found in self.devices:
                volume = found
                if isinstance(found, VolumeRequest):
                    volume = next(made)
                    sources[volume.id] = found.source.kind if found.source is not None else None
                assert isinstance(volume, Volume)
                session.add(_attachment(server, volume, device, used))
                locks.append(Target("volume", volume.id))
            volumes[server.id] = ServerVolumes(sources, locks)
        session.flush()
        return volumes


def prepare(services: Services, session: orm.Session, context: RequestContext, arrangement: Arrangement,
            zone: str | None, *, servers: int, multiattach_refusal: str | None) -> Disks:
    """Find what the volumes are made from and hold it till the transaction ends, in the order of ids.

    `zone` is the one the servers were asked to be in. Raises Invalid, Forbidden, ResourceLocked.
    """
    if not arrangement.volumes:
        return Disks(())
    volume_limit.check_boot(session, len(arrangement.volumes))
    found: dict[int, VolumeRequest | Volume] = {}
    # Two requests that name the same volumes hold them in the same order.
    for index in sorted(range(len(arrangement.volumes)), key=lambda each: arrangement.volumes[each].id or ""):
        device = arrangement.volumes[index]
        if device.source == "volume":
            if servers > 1:
                raise errors.Invalid(reason="Block Device Mapping is Invalid: A volume that exists cannot be attached "
                                            "to multiple instances that are created together.")
            found[index] = _existing(services, session, context, device, multiattach_refusal)
        else:
            found[index] = _new(services, session, context, device, zone, multiattach_refusal)
    devices = [(device, found[index]) for index, device in enumerate(arrangement.volumes)]
    existing = [volume.id for volume in found.values() if isinstance(volume, Volume)]
    if len(existing) != len(set(existing)):
        raise errors.Invalid(reason="Block Device Mapping is Invalid: A volume is named twice.")
    return Disks(devices, _zone_of(services, zone, devices))


def _existing(services: Services, session: orm.Session, context: RequestContext, device: BlockDevice,
              multiattach_refusal: str | None) -> Volume:
    services.policy.check(context, "os_compute_api:servers:create:attach_volume")
    try:
        volume = usable_volume(services, session, context, str(device.id),
                               multiattach_refusal=multiattach_refusal)
    except errors.NotFound:
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: failed to get volume {device.id}.") from None
    if device.boot_index == 0:
        _check_bootable(volume.bootable, f"Volume {volume.id}")
    if device.size_gib and device.size_gib != volume.size_gib:
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: Volume {volume.id} has {volume.size_gib} GiB, "
                                    f"not {device.size_gib}.")
    return volume


def _new(services: Services, session: orm.Session, context: RequestContext, device: BlockDevice, zone: str | None,
         multiattach_refusal: str | None) -> VolumeRequest:
    source = {_SOURCES[device.source]: device.id} if device.source in _SOURCES else {}
    if device.source == "snapshot" and services.conf.volume.cross_az_attach:
        zone = None  # only the snapshot's own zone can have it
    new = NewVolume(size_gib=device.size_gib, volume_type=device.volume_type, zone=zone, **source)  # type: ignore[arg-type]
    try:
        request = volume_create.prepare(services, session, context, new)
    except errors.NotFound as error:
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: {error}") from None
    except errors.WrongStatus as error:
        raise errors.Invalid(reason=str(error)) from None
    except errors.InvalidZone as error:
        raise errors.InvalidZone(
            f"{error} No volume service is in it, so the instance's volume cannot be made there; the default zone of "
            f"volumes is '{volume_zones.default_zone(services)}'.", **error.fields) from None
    if request.multiattach and multiattach_refusal is not None:
        raise errors.Invalid(reason=multiattach_refusal)
    if device.boot_index == 0 and device.source != "blank":
        _check_bootable(request.source is not None and request.source.bootable, f"The {device.source} {device.id}")
    return request


def _check_bootable(bootable: bool, what: str) -> None:
    if not bootable:
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: {what} is not bootable.")


def _zone_of(services: Services, zone: str | None,
             devices: Sequence[tuple[BlockDevice, VolumeRequest | Volume]]) -> str | None:
    """Return the zone the servers must be in for their volumes' sake; raises Invalid, naming the zones, when that
    cannot be.

    Where servers may have volumes of any zone (`cross_az_attach`) there is none.
    """
    if services.conf.volume.cross_az_attach:
        return None
    zones = sorted({found.zone for _, found in devices})
    if zone is not None and zones != [zone]:
        other = next(name for name in zones if name != zone)
        raise errors.Invalid(reason=f"The instance is to be in availability zone '{zone}', but a volume of it would be "
                                    f"in '{other}', and instances may only have volumes of their own zone.")
    if len(zones) > 1:
        raise errors.Invalid(reason=f"The instance's volumes are in the availability zones {', '.join(zones)}, but "
                                    "instances may only have volumes of their own zone.")
    return zones[0]


def _attachment(server: Server, volume: Volume, device: BlockDevice, used: set[str]) -> VolumeAttachment:
    name = device_names.ROOT if device.boot_index == 0 else device_names.choose(device.device_name, used)
    used.add(name)
    return VolumeAttachment(
        id=ids.new_id(), volume_id=volume.id, server_id=server.id, state=volume_states.RESERVED,
        mode="ro" if volume.readonly else "rw", device=name, boot_index=device.boot_index,
        delete_on_termination=device.delete_on_termination, tag=device.tag)
