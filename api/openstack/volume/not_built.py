"""Parts of the published API that this cloud does not have (groups, clusters, …): empty lists and 501s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import falcon

from api.microversions import ALWAYS, Span
from api.openstack.resource import Resource
from api.openstack.volume import params
from api.openstack.volume.microversion import available, since
from api.services import Services
from hostler import errors

_GROUPS: Final = "group:get_all"
_TAKE_OVER: Final = "Taking over what is on a back end"
# path → (member of the answer, since when, policy of the list, what it is called)
_LISTS: Final[tuple[tuple[str, str, Span, str, str], ...]] = (
    ("/groups", "groups", since(13), _GROUPS, "Groups of volumes"),
    ("/group_types", "group_types", since(11), _GROUPS, "Groups of volumes"),
    ("/group_snapshots", "group_snapshots", since(14), _GROUPS, "Groups of volumes"),
    ("/consistencygroups", "consistencygroups", ALWAYS, _GROUPS, "Consistency groups"),
    ("/cgsnapshots", "cgsnapshots", ALWAYS, _GROUPS, "Consistency groups"),
    ("/clusters", "clusters", since(7), "clusters:get_all", "Clusters of services"),
    ("/default-types", "default_types", since(62), "volume_extension:default_get_all",
     "A default volume type of a project"),
    ("/manageable_volumes", "manageable-volumes", since(8), "volume_extension:list_manageable", _TAKE_OVER),
    ("/os-volume-manage", "manageable-volumes", ALWAYS, "volume_extension:list_manageable", _TAKE_OVER),
    ("/manageable_snapshots", "manageable-snapshots", since(8), "snapshot_extension:list_manageable", _TAKE_OVER),
    ("/os-snapshot-manage", "manageable-snapshots", ALWAYS, "snapshot_extension:list_manageable", _TAKE_OVER),
)


def _empty(member: str, span: Span, policy: str, feature: str) -> Callable[[Services], Resource]:
    class Empty(Resource):
        """An empty list that nothing can be added to."""

        @available(span)
        def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
            """List nothing."""
            self.services.policy.check(params.caller(request), policy)
            response.media = {member: []}

        @available(span)
        def on_post(self, request: falcon.Request, _response: falcon.Response) -> None:
            """Refuse."""
            params.caller(request)
            raise errors.NotImplementedHere(feature=feature)

    return Empty


def _nothing(member: str, span: Span, feature: str) -> Callable[[Services], Resource]:
    class Nothing(Resource):
        """An item of a list that is always empty."""

        @available(span)
        def on_get(self, request: falcon.Request, _response: falcon.Response, absent_id: str) -> None:
            """Find nothing."""
            params.caller(request)
            raise errors.NotFound(f"{member} {absent_id[:80]} could not be found.", resource=member, id=absent_id)

        on_delete = on_get

        @available(span)
        def on_put(self, request: falcon.Request, _response: falcon.Response, absent_id: str) -> None:
            """Refuse."""
            params.caller(request)
            raise errors.NotImplementedHere(feature=feature)

    return Nothing


ROUTES = (
    *((path, _empty(member, span, policy, feature)) for path, member, span, policy, feature in _LISTS),
    *((f"{path}/detail", _empty(member, span, policy, feature)) for path, member, span, policy, feature in _LISTS),
    *((f"{path}/{{absent_id}}", _nothing(member, span, feature)) for path, member, span, _, feature in _LISTS))
