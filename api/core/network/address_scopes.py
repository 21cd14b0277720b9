"""Address scopes: list, show, create, change, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller
from api.core.network.verbs import PlainRows
from hostler import errors
from hostler.db.models import AddressScope, SubnetPool
from hostler.query.resources import declare

ADDRESS_SCOPE: Final = declare(AddressScope)


def _draft(_session: orm.Session, _caller: Caller, _project_id: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    return values


def _release(session: orm.Session, _caller: Caller, scope: AddressScope) -> None:
    if session.scalars(sa.select(SubnetPool.id).where(SubnetPool.address_scope_id == scope.id).limit(1)).first():
        raise errors.InUse(f"Unable to complete operation on address scope {scope.id}. There are one or more subnet "
                           "pools in use on the address scope.", resource="address scope", id=scope.id, reason="pools")


VERBS: Final = PlainRows(resource=ADDRESS_SCOPE, action="address_scope", quota="address_scopes", draft=_draft,
                         release=_release, stays_shared=True).verbs
