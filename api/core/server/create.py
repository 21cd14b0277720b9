"""Accepts new servers: looks up and checks everything, then writes all of it in one transaction.

Rows, quota claim, ports, tags, group membership and one `server.create` operation per server commit together, so
nothing is accepted and then lost, and nothing exists in part. A request with an idempotency key may be repeated: it
returns the servers of the first one.
"""

from __future__ import annotations

import dataclasses
import random
import string
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import auto_allocated_topologies
from api.core.network.scope import Caller
from api.core.outcomes import in_turn
from api.core.server import block_devices, image_disks
from api.core.server import disks as server_disks
from api.core.server import inputs as server_inputs
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Flavor, Image, Network, Operation, Project, Server, ServerGroupMember, ServerTag
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources import quota
from hostler.resources.network import ports
from hostler.resources.server import states
from hostler.resources.server.properties import check_properties

_KEY_LENGTH = 200
_ZERO_DISK = "os_compute_api:servers:create:zero_disk_flavor"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewServers:
    """What a create asks for. `networks` is "any" (the project's own choice), "auto" (one is made if there is none),
    "none" or the NICs; `user_data` is base64.

    `multiattach_refusal` is the reason why this caller gets no volumes that several servers may have (None: it does).
    """

    name: str
    flavor_id: str
    image_id: str | None
    admin_password: str
    block_devices: Sequence[block_devices.BlockDevice] = ()
    multiattach_refusal: str | None = None
    description: str | None = None
    hostname: str | None = None
    key_name: str | None = None
    user_data: str | None = None
    config_drive: bool = False
    auto_disk_config: bool = False  # whether the image's file system may be grown to the disk
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Sequence[str] = ()
    networks: ports.Requests = "any"
    security_groups: Sequence[str] = ()
    zone: str | None = None
    host: str | None = None
    hypervisor_hostname: str | None = None
    hints: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    min_count: int = 1
    max_count: int = 1
    idempotency_key: str | None = None


@dataclasses.dataclass(frozen=True)
class Accepted:
    """The servers of one request; `admin_password` is None when the request was a repetition and it is forgotten."""

    server_ids: Sequence[str]
    reservation_id: str
    admin_password: str | None


@dataclasses.dataclass(frozen=True)
class _Inputs:
    image: Image | None  # on the local root disk
    arrangement: block_devices.Arrangement
    flavor: Flavor
    public_key: str | None
    placement: server_inputs.Placement
    hints: dict[str, Any]
    image_properties: dict[str, Any] = dataclasses.field(default_factory=dict)  # of one that names disks


def create(services: Services, context: RequestContext, new: NewServers) -> Accepted:
    """Accept new servers and return them.

    Raises Invalid for what can never work, Forbidden past a quota, Conflict for a port or address in use.
    """
    services.policy.check(context, "os_compute_api:servers:create")
    if new.idempotency_key is not None and len(new.idempotency_key) > _KEY_LENGTH:
        raise errors.InvalidField(field="Idempotency-Key", value=new.idempotency_key[:40],
                                  reason=f"At most {_KEY_LENGTH} characters.")
    with services.db.reading() as session:
        inputs = _look_up(services, session, context, new)

    def work(session: orm.Session) -> tuple[Accepted, list[str]]:
        earlier = _earlier(services, session, context, new.idempotency_key)
        if earlier is not None:
            return earlier, []
        return _write(services, session, context, new, inputs)

    accepted, operation_ids = in_turn(services, work)
    services.waker.wake(context, *operation_ids)
    return accepted


def _look_up(services: Services, session: orm.Session, context: RequestContext, new: NewServers) -> _Inputs:
    flavor = server_inputs.usable_flavor(session, context, new.flavor_id)
    boot_image = _boot_image(session, context, new)
    named = image_disks.devices_of(boot_image) if boot_image is not None else []
    has_root = any(device.boot_index == 0 for device in named)
    arrangement = block_devices.arrange(
        image_disks.merged(new.block_devices, named), None if has_root else new.image_id,
        ephemeral_gib=flavor.ephemeral_gib, swap_mib=flavor.swap_mib)
    image = None
    if arrangement.image_id is not None:
        image = boot_image or server_inputs.usable_image(session, context, arrangement.image_id)
        server_inputs.check_content(image)
        server_inputs.check_fit(image, flavor)
        if not flavor.root_gib and not services.policy.allows(context, _ZERO_DISK):
            # Such a disk is as large as the image says, which no quota and no claim of the scheduler knows.
            raise errors.Forbidden("Only volume-backed servers are allowed for flavors with zero disk.")
    elif boot_image is not None:
        server_inputs.check_memory(boot_image, flavor)
    if new.metadata:
        quota.check_items(session, services.conf, str(context.project_id), "metadata_items", len(new.metadata))
    return _Inputs(
        image, arrangement, flavor,
        server_inputs.public_key(session, context, new.key_name) if new.key_name is not None else None,
        server_inputs.placement(services, session, context, zone=new.zone, host=new.host,
                                hypervisor_hostname=new.hypervisor_hostname),
        server_inputs.check_hints(session, context, dict(new.hints)) if new.hints else {},
        image_disks.described(boot_image) if boot_image is not None and has_root else {})


def _boot_image(session: orm.Session, context: RequestContext, new: NewServers) -> Image | None:
    """Return the image to boot from, which may name disks in place of content."""
    image_id = new.image_id or next((device.id for device in new.block_devices
                                     if device.source == "image" and device.boot_index == 0), None)
    return server_inputs.usable_image(session, context, image_id, empty=True) if image_id is not None else None


def _full_key(context: RequestContext, key: str) -> str:
    return f"{context.project_id}:{key}"


def _earlier(services: Services, session: orm.Session, context: RequestContext, key: str | None) -> Accepted | None:
    """Return what an earlier request with this key made; the project is held, so that two cannot both be first."""
    if key is None:
        return None
    services.db.lock_row(session, Project, Project.id == context.project_id)
    row = session.execute(
        sa.select(Server.reservation_id, Operation.arguments)
        .join(Server, Server.id == Operation.resource_id)
        .where(Operation.idempotency_key == _full_key(context, key))).one_or_none()
    if row is None:
        return None
    server_ids = session.scalars(sa.select(Server.id).where(
        Server.reservation_id == row.reservation_id, Server.project_id == context.project_id)
        .order_by(Server.launch_index)).all()
    return Accepted(server_ids, row.reservation_id, row.arguments.get("admin_password"))


def _write(services: Services, session: orm.Session, context: RequestContext, new: NewServers,
           inputs: _Inputs) -> tuple[Accepted, list[str]]:
    disks = server_disks.prepare(services, session, context, inputs.arrangement, inputs.placement.zone,
                                 servers=new.max_count, multiattach_refusal=new.multiattach_refusal)
    held = quota.hold_for_servers(services.db, session, services.conf, str(context.project_id))
    count = _claim(held, new, inputs.flavor)
    group_ids = server_inputs.hint_list(inputs.hints, "group")
    group = server_inputs.group_for(services, session, context, group_ids[0], count) if group_ids else None
    reservation_id = "r-" + "".join(random.choices(string.ascii_lowercase + string.digits, k=8))
    image_properties = dict(inputs.image.properties) if inputs.image is not None else {
        **disks.image_properties, **inputs.image_properties}
    check_properties(image_properties, inputs.flavor.extra_specs, vcpus=inputs.flavor.vcpus)
    to_wake: list[str] = []
    servers = [_row(context, new, inputs, disks, image_properties, reservation_id, index, count)
               for index in range(count)]
    session.add_all(servers)
    session.flush()
    ports.bind_ports_many(services.db, session, services.conf, context,
                          servers=[ports.NewServer(server.id, server.hostname) for server in servers],
                          requests=new.networks, security_groups=new.security_groups or ("default",),
                          held=held,
                          allocate=lambda: _topology(services, session, context, to_wake))
    volumes = disks.write(services, session, context, servers)
    for server in servers:
        session.add_all([ServerTag(server_id=server.id, tag=tag) for tag in dict.fromkeys(new.tags)])
        if group is not None:
            session.add(ServerGroupMember(group_id=group.id, server_id=server.id))
    operations = []
    for server in servers:
        key = _full_key(context, new.idempotency_key) if new.idempotency_key and server is servers[0] else None
        operations.append(accept(
            session, context, kinds.CREATE, Target("server", server.id),
            kinds.CreateServer(admin_password=new.admin_password, volumes=bool(volumes[server.id].locks),
                               sources=volumes[server.id].sources),
            idempotency_key=key, also_lock=volumes[server.id].locks, is_free=True))
    accepted = Accepted([server.id for server in servers], reservation_id, new.admin_password)
    return accepted, [*to_wake, *(operation.id for operation in operations)]


def _topology(services: Services, session: orm.Session, context: RequestContext, to_wake: list[str]) -> Network:
    """Return the network of the project's topology, made now; raises Invalid when the cloud lacks what it takes."""
    caller, project_id = Caller.of(services, context), str(context.project_id)
    try:
        auto_allocated_topologies.requirements(session, caller)
    except errors.Conflict:
        raise errors.Invalid(
            reason=f"Unable to automatically allocate a network for project {ids.bare(project_id)}") from None
    network, operation_ids = auto_allocated_topologies.ensure(session, caller, project_id)
    to_wake += operation_ids
    return network


def _claim(held: quota.Held, new: NewServers, flavor: Flavor) -> int:
    """Claim quota for as many servers as fit, from `max_count` down to `min_count`; returns how many."""
    def wanted(count: int) -> dict[str, int]:
        return {"instances": count, "cores": count * flavor.vcpus, "ram": count * flavor.ram_mib}

    try:
        held.check(wanted(new.max_count))
    except errors.QuotaExceeded:
        if new.min_count == new.max_count:
            raise
        fits = [(held.limit[name] - held.used[name]) // amount for name, amount in wanted(1).items()
                if held.limit[name] != quota.UNLIMITED and amount]
        if min(fits) < new.min_count:
            raise
        return min(fits)
    return new.max_count


def _row(context: RequestContext, new: NewServers, inputs: _Inputs, disks: server_disks.Disks,
         image_properties: dict[str, Any], reservation_id: str, index: int, count: int) -> Server:
    server_id = ids.new_id()
    suffix = f"-{index + 1}" if count > 1 else ""
    flavor, image = inputs.flavor, inputs.image
    hostname = new.hostname or server_inputs.hostname_of(new.name, server_id)
    return Server(
        id=server_id, name=server_inputs.numbered(new.name, suffix),
        hostname=server_inputs.numbered_host(hostname, suffix), description=new.description,
        project_id=context.project_id, user_id=context.user_id, vm_state=states.BUILDING,
        requested_zone=inputs.placement.zone or disks.zone, requested_host=inputs.placement.host, flavor_id=flavor.id,
        flavor=server_inputs.flavor_copy(flavor), vcpus=flavor.vcpus, ram_mib=flavor.ram_mib,
        root_gib=flavor.root_gib, ephemeral_gib=flavor.ephemeral_gib, swap_mib=flavor.swap_mib,
        image_id=image.id if image is not None else None,
        image_properties=image_properties,
        key_name=new.key_name, public_key=inputs.public_key,
        user_data=new.user_data, config_drive=new.config_drive,
        auto_disk_config=new.auto_disk_config, extra=dict(new.metadata),
        access_ip_v4=new.access_ip_v4, access_ip_v6=new.access_ip_v6,
        scheduler_hints=inputs.hints, reservation_id=reservation_id, launch_index=index)
