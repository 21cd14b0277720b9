"""Subnet pools: list, show, create, change, delete, and the block that a new subnet gets from one."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller, find, not_found
from api.core.network.verbs import PlainRows
from hostler import errors, ids
from hostler.db.models import AddressScope, Network, Subnet, SubnetPool
from hostler.query.fields import BOOLEAN, Field
from hostler.query.resources import declare
from hostler.resources.network import sharing, subnet_pools

SUBNET_POOL: Final = declare(SubnetPool, {"is_default": Field(SubnetPool.__table__.c.default_of.is_not(None), BOOLEAN)})
_SHORTEST: Final = {4: 8, 6: 64}
_LONGEST: Final = {4: 32, 6: 128}
_LENGTHS: Final = ("min_prefixlen", "default_prefixlen", "max_prefixlen")
# What a request says of the pool that its subnet comes from; no columns of the subnet.
_OF_SUBNET: Final = frozenset({"subnetpool_id", "prefixlen", "use_default_subnetpool"})
# What only a block that is named can have checked against it.
_NEED_CIDR: Final = ("gateway_ip", "allocation_pools")


def choose_block(session: orm.Session, caller: Caller, network: Network, project_id: str,
                 values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a new subnet with the block that its pool gives; the pool is held from here on.

    Raises NotFound for a pool the caller does not see, Invalid, and Conflict when the pool or a quota is used up.
    """
    plain = {name: value for name, value in values.items() if name not in _OF_SUBNET}
    pool = _pool_of(session, caller, values)
    if pool is None:
        if values.get("prefixlen") is not None:
            raise _bad("a subnetpool must be specified with a prefixlen")
        _check_affinity(session, network, values["ip_version"], None)
        return plain
    if pool.ip_version != values["ip_version"]:
        raise _bad(f"Cannot allocate IPv{values['ip_version']} subnet from IPv{pool.ip_version} subnet pool")
    _check_affinity(session, network, pool.ip_version, pool)
    if plain.get("cidr") is None:
        for name in _NEED_CIDR:
            if values.get(name) is not None:
                raise _bad(f"{name} allowed only for specific subnet requests.")
        length = values.get("prefixlen")
        plain["cidr"] = subnet_pools.allocate(caller.services.db, session, pool, project_id,
                                              pool.default_prefixlen if length is None else length)
    elif values.get("prefixlen") is not None:
        raise _bad("cidr and prefixlen must not be supplied together")
    else:
        subnet_pools.claim(caller.services.db, session, pool, project_id, _prefix("cidr", plain["cidr"]))
    return {**plain, "subnetpool_id": pool.id}


def _pool_of(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> SubnetPool | None:
    given = values.get("subnetpool_id")
    if given == "prefix_delegation":
        raise errors.NotImplementedHere(feature="Prefix delegation")
    if given and ids.canonical(given) is None:
        raise errors.InvalidField(f"Invalid input for subnetpool_id. Reason: '{given}' is not a valid UUID.",
                                  field="subnetpool_id", value=given, reason="no UUID")
    if given:
        return find(session, caller, SubnetPool, given)
    if not values.get("use_default_subnetpool"):
        return None
    version = values["ip_version"]
    pool = session.scalars(sa.select(SubnetPool).where(SubnetPool.default_of == version)).one_or_none()
    if pool is None:
        raise _bad(f"No default subnetpool found for IPv{version}")
    return find(session, caller, SubnetPool, pool.id)


def _check_affinity(session: orm.Session, network: Network, version: int, pool: SubnetPool | None) -> None:
    """Raise Invalid unless the network's other subnets of this IP version are of the same scope or the same pool, or,
    like the new one, of none."""
    others = session.execute(
        sa.select(Subnet.subnetpool_id, SubnetPool.address_scope_id).distinct()
        .outerjoin(SubnetPool, SubnetPool.id == Subnet.subnetpool_id)
        .where(Subnet.network_id == network.id, Subnet.ip_version == version)).tuples().all()
    if pool is not None and {scope_id for _, scope_id in others if scope_id} - {pool.address_scope_id}:
        raise errors.Invalid(reason="Subnets of the same address family hosted on the same network must all be "
                                    "allocated from the same address scope.")
    if any(pool_id is not None if pool is None else pool_id != pool.id and not scope_id
           for pool_id, scope_id in others):
        raise errors.Invalid(reason="Subnets hosted on the same network must be allocated from the same subnet pool.")


def _draft(session: orm.Session, caller: Caller, project_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if not values["prefixes"]:
        raise _bad_pool("Subnet pool needs at least one prefix")
    prefixes = [_prefix("prefixes", text) for text in values["prefixes"]]
    versions = {prefix.version for prefix in prefixes}
    if len(versions) > 1:
        raise errors.Invalid(reason="Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
    [version] = versions
    pool = SubnetPool(project_id=project_id, ip_version=version, min_prefixlen=_SHORTEST[version],
                      max_prefixlen=_LONGEST[version])
    lengths = {"min_prefixlen": pool.min_prefixlen, "max_prefixlen": pool.max_prefixlen, **values}
    lengths.setdefault("default_prefixlen", lengths["min_prefixlen"])
    new = {**values, "prefixes": [str(piece) for piece in subnet_pools.merged(map(str, prefixes))],
           "ip_version": version, **_lengths(pool, lengths)}
    default = _default(session, caller, "create", pool, new)
    return {**new, **default, **_scope(session, caller, pool, new)}


def _amend(session: orm.Session, caller: Caller, pool: SubnetPool, values: Mapping[str, Any]) -> dict[str, Any]:
    _check_owner_of_scope(session, caller, pool)
    new = {**values, **_lengths(pool, values)}
    if "prefixes" in values:
        wanted = [_prefix("prefixes", text) for text in values["prefixes"]]
        if {prefix.version for prefix in wanted} - {pool.ip_version}:
            raise errors.Invalid(reason="Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
        pieces = subnet_pools.merged(map(str, wanted))
        if not all(any(old.subnet_of(piece) for piece in pieces) for old in subnet_pools.merged(pool.prefixes)):
            raise errors.Invalid(reason="Illegal subnetpool update : Existing prefixes must be a subset of the new "
                                        "prefixes.")
        new["prefixes"] = [str(piece) for piece in pieces]
    default = _default(session, caller, "update", pool, new)
    return {**new, **default, **_scope(session, caller, pool, new)}


def _check_owner_of_scope(session: orm.Session, caller: Caller, pool: SubnetPool) -> None:
    """Raise Invalid for a pool in another project's address scope: its owner lets others use it as it is."""
    scope = session.get(AddressScope, pool.address_scope_id) if pool.address_scope_id is not None else None
    if scope is not None and not caller.sees_all and scope.project_id != caller.project_id:
        raise errors.Invalid(f"Illegal subnetpool update : subnetpool {pool.id} cannot be updated when associated with "
                             f"shared address scope {scope.id}.", reason="address scope")


def _release(session: orm.Session, _caller: Caller, pool: SubnetPool) -> None:
    if session.scalars(sa.select(Subnet.id).where(Subnet.subnetpool_id == pool.id).limit(1)).first():
        raise errors.Invalid(reason="Unable to delete subnet pool: Subnet pool has existing allocations.")


def _lengths(pool: SubnetPool, values: Mapping[str, Any]) -> dict[str, int]:
    """Return the prefix lengths that a request sets; raises Invalid unless they are in order."""
    found = {name: values[name] for name in _LENGTHS if values.get(name) is not None}
    low, usual, high = (found.get(name, getattr(pool, name)) for name in _LENGTHS)
    if not low >= 2:
        raise errors.Invalid(reason=f"Prefix '{low}' not supported in IPv{pool.ip_version} pool.")
    for (name, value), (base, bound) in (
            (("max_prefixlen", high), ("longest", _LONGEST[pool.ip_version])),
            (("min_prefixlen", low), ("max_prefixlen", high)),
            (("min_prefixlen", low), ("default_prefixlen", usual)),
            (("default_prefixlen", usual), ("max_prefixlen", high))):
        if value > bound:
            raise errors.Invalid(reason=f"Illegal prefix bounds: {name}={value}, {base}={bound}.")
    return found


def _default(session: orm.Session, caller: Caller, verb: str, pool: SubnetPool,
             new: dict[str, Any]) -> dict[str, Any]:
    """Take `is_default` from `new`; return the column that says it."""
    if "is_default" not in new:
        return {}
    wanted = new.pop("is_default")
    if wanted or verb == "update":
        caller.check(f"{verb}_subnetpool:is_default", pool.project_id)
    other = session.scalars(sa.select(SubnetPool.id).where(
        SubnetPool.default_of == pool.ip_version, SubnetPool.id != (pool.id or ""))).first()
    if wanted and other is not None:
        raise errors.InvalidField(
            "Invalid input for operation: A default subnetpool for this IP family has already been set. Only one "
            "default may exist per IP family.", field="is_default", value="true", reason="there is one")
    return {"default_of": pool.ip_version if wanted else None}


def _scope(session: orm.Session, caller: Caller, pool: SubnetPool, new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scope's column; raises Invalid, and Conflict for prefixes that another pool of the scope has."""
    given = new.get("address_scope_id", pool.address_scope_id)
    if not given:
        return {"address_scope_id": None} if "address_scope_id" in new else {}
    scope = find(session, caller, AddressScope, given, hold=True)
    if pool.project_id != scope.project_id and not sharing.shared_among(session, [scope.id], pool.project_id):
        raise not_found(AddressScope, given)
    if scope.ip_version != pool.ip_version:
        raise errors.Invalid(
            reason=f"Illegal subnetpool association: subnetpool {pool.id or ''} cannot associate with address scope "
                   f"{scope.id} because subnetpool ip_version is not {scope.ip_version}.")
    mine = subnet_pools.merged(new.get("prefixes", pool.prefixes))
    for prefixes in session.scalars(sa.select(SubnetPool.prefixes).where(
            SubnetPool.address_scope_id == scope.id, SubnetPool.id != (pool.id or ""))):
        if any(piece.overlaps(other) for piece in mine for other in subnet_pools.merged(prefixes)):
            raise errors.Conflict("Failed to associate address scope: subnetpools within an address scope must have "
                                  "unique prefixes.", reason="prefixes in scope")
    return {"address_scope_id": scope.id}


def _prefix(field: str, text: str) -> Any:
    try:
        if "/" not in text or "%" in text:
            raise ValueError("no block")
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise errors.InvalidField(f"Invalid input for {field}. Reason: '{text}' is not a valid IP subnet.",
                                  field=field, value=text, reason="no block") from None


def _bad(reason: str) -> errors.Invalid:
    return errors.Invalid(reason=f"Bad subnets request: {reason}.".replace("..", "."))


def _bad_pool(reason: str) -> errors.Invalid:
    return errors.Invalid(reason=f"Bad subnetpool request: {reason}.")


VERBS: Final = PlainRows(resource=SUBNET_POOL, action="subnetpool", quota="subnetpools", draft=_draft, amend=_amend,
                         release=_release, twin="A default subnetpool for this IP family has already been set.").verbs
