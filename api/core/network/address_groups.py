"""Address groups: list, show, create, change, delete, and their addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller, find_to_change, set_changed
from api.core.network.verbs import PlainRows, Record
from hostler import errors
from hostler.db.models import AddressGroup, SecurityGroupRule
from hostler.query.resources import declare
from hostler.resources.network import security_groups

# Every port with a rule that names the group carries them all.
MAX_ADDRESSES: Final = 1024


def add_addresses(caller: Caller, identifier: str, given: Sequence[str]) -> Record:
    """Add blocks to a group; hosts follow. Raises Invalid for those that it has."""
    def added(group: AddressGroup, blocks: list[str]) -> list[str]:
        present = [block for block in blocks if block in group.addresses]
        if present:
            raise errors.Invalid(f"Addresses {present} already exist in the address group {group.id}.",
                                 reason="addresses there")
        return [*group.addresses, *blocks]
    return _edit(caller, identifier, "add_addresses", given, added)


def remove_addresses(caller: Caller, identifier: str, given: Sequence[str]) -> Record:
    """Remove blocks from a group; hosts follow. Raises NotFound for those that it does not have."""
    def left(group: AddressGroup, blocks: list[str]) -> list[str]:
        missing = [block for block in blocks if block not in group.addresses]
        if missing:
            raise errors.NotFound(f"Addresses {missing} not found in the address group {group.id}.",
                                  resource="addresses", id=group.id)
        return [block for block in group.addresses if block not in blocks]
    return _edit(caller, identifier, "remove_addresses", given, left)


def _edit(caller: Caller, identifier: str, action: str, given: Sequence[str], change: Any) -> Record:
    blocks = _blocks(given)

    def work(session: orm.Session) -> tuple[Record, list[str]]:
        group = find_to_change(session, caller, AddressGroup, identifier)
        caller.check(action, group.project_id)
        if not set_changed(group, {"addresses": _counted(change(group, blocks))}):
            return Record(group), []
        session.flush()
        naming = session.scalars(sa.select(SecurityGroupRule.group_id).distinct().where(
            SecurityGroupRule.remote_address_group_id == group.id)).all()
        return Record(group), security_groups.notify_hosts(session, caller.context, naming, rules_changed=True)
    return caller.write(work)


def _draft(_session: orm.Session, _caller: Caller, _project_id: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**values, "addresses": _counted(_blocks(values.get("addresses") or (), bare=False))}


def _release(session: orm.Session, _caller: Caller, group: AddressGroup) -> None:
    if session.scalars(sa.select(SecurityGroupRule.id).where(
            SecurityGroupRule.remote_address_group_id == group.id).limit(1)).first():
        raise errors.InUse(f"Address group {group.id} is in use on one or more security group rules.",
                           resource="address group", id=group.id, reason="rules")


def _blocks(given: Sequence[str], *, bare: bool = True) -> list[str]:
    """Return blocks in their canonical spelling, without repeats; `bare` takes single addresses, too."""
    return list(dict.fromkeys(_block(text, bare) for text in given))


def _block(text: str, bare: bool) -> str:
    try:
        if "%" in text or not bare and "/" not in text:
            raise ValueError("no block")
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise errors.InvalidField(f"Invalid input for addresses. Reason: '{text}' is not a valid IP subnet.",
                                  field="addresses", value=text, reason="no block") from None


def _counted(addresses: list[str]) -> list[str]:
    if len(addresses) > MAX_ADDRESSES:
        raise errors.InvalidField(field="addresses", value=str(len(addresses)),
                                  reason=f"An address group has at most {MAX_ADDRESSES} addresses.")
    return addresses


VERBS: Final = PlainRows(resource=declare(AddressGroup), action="address_group", quota="address_groups", draft=_draft,
                         release=_release).verbs
