"""The topology that a project gets unasked: a network with a subnet of each default pool, behind a router that leads to
the default external network.

All of it is made in one transaction, which holds the project: of two requests at once one makes it, the other finds
it, and a process that dies leaves nothing behind. The Network API makes it when somebody looks for it, Compute when a
server wants its networks "auto" and the project has none. What it is made of belongs to the project, counts in its
quotas and needs the rights to make networks, subnets and routers.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import networks, router_interfaces, routers, subnets
from api.core.network.scope import Caller, find_to_change, visible
from hostler import errors, ids
from hostler.db.models import Network, Project, Router, Subnet, SubnetPool


def show_topology(caller: Caller, project: str) -> tuple[str, str]:
    """Return (network, project) of a project's topology, which is made when there is none.

    Raises NotFound for the project, Conflict for a cloud that lacks what it is made of, or has none left of it.
    """
    project_id = _project_id(caller, project, "get_auto_allocated_topology")

    def work(session: orm.Session) -> tuple[str, list[str]]:
        network, operation_ids = ensure(session, caller, project_id)
        return network.id, operation_ids

    with caller.services.db.reading() as session:
        there = _network(session, project_id)
    return there.id if there is not None else caller.write(work), project_id


def check_requirements(caller: Caller, project: str) -> str:
    """Return the project; raises Conflict for what a topology is made of and this cloud lacks."""
    project_id = _project_id(caller, project, "get_auto_allocated_topology")
    with caller.services.db.reading() as session:
        _check_project(session, project_id)
        requirements(session, caller)
    return project_id


def delete_topology(caller: Caller, project: str) -> None:
    """Delete a project's topology, if there is one; raises InUse while something else uses a part of it."""
    project_id = _project_id(caller, project, "delete_auto_allocated_topology")

    def work(session: orm.Session) -> tuple[None, list[str]]:
        _check_project(session, project_id)
        network = _network(session, project_id)
        if network is None:
            return None, []
        network = find_to_change(session, caller, Network, network.id)
        router = session.scalars(sa.select(Router).where(Router.auto_of == project_id)).one_or_none()
        operation_ids: list[str] = []
        if router is not None:
            router = find_to_change(session, caller, Router, router.id)
            for subnet_id in _joined(session, router, network):
                operation_ids += router_interfaces.leave(session, caller, router, subnet_id)[1]
            routers.remove_router(session, caller, router)
        networks.remove_network(session, caller, network)
        session.flush()
        return None, operation_ids

    caller.write(work)


def ensure(session: orm.Session, caller: Caller, project_id: str) -> tuple[Network, list[str]]:
    """Return the network of a project's topology, made when there is none, and the operations to wake after the commit.

    Raises as `show_topology`.
    """
    caller.services.db.lock_row(session, Project, Project.id == project_id)
    _check_project(session, project_id)
    there = _network(session, project_id)
    if there is not None:
        return there, []
    outside, pools = requirements(session, caller)
    network = networks.add_network(session, caller, {
        "name": "auto_allocated_network", "project_id": project_id, "auto_of": project_id})
    made = [subnets.add_subnet(session, caller, {
        "name": f"auto_allocated_subnet_v{pool.ip_version}", "network_id": network.id, "project_id": project_id,
        "ip_version": pool.ip_version, "subnetpool_id": pool.id}) for pool in pools]
    # A router whose network was deleted is one like others.
    session.execute(sa.update(Router).where(Router.auto_of == project_id).values(auto_of=None))
    try:
        router = routers.add_router(session, caller, {
            "name": "auto_allocated_router", "project_id": project_id, "auto_of": project_id,
            "gateway": {"network_id": outside}})
        operation_ids = [operation for subnet in made
                         for operation in router_interfaces.join(session, caller, router, subnet.id)[1]]
    except errors.Invalid as error:
        raise _failure(f"Unable to provide external connectivity: {error}") from error
    return network, operation_ids


def requirements(session: orm.Session, caller: Caller) -> tuple[str, list[SubnetPool]]:
    """Return the default external network's id and the default pools that the caller sees; raises Conflict."""
    outside = networks.default_external(session)
    if outside is None:
        raise _failure("No default router:external network")
    pools = list(session.scalars(sa.select(SubnetPool).where(
        SubnetPool.default_of.is_not(None), visible(caller, SubnetPool)).order_by(SubnetPool.ip_version)))
    if not pools:
        raise _failure("No default subnetpools defined")
    return outside, pools


def _failure(reason: str) -> errors.Conflict:
    return errors.Conflict(f"Deployment error: {reason}.".replace("..", "."), reason="auto-allocation")


def _network(session: orm.Session, project_id: str) -> Network | None:
    return session.scalars(sa.select(Network).where(Network.auto_of == project_id)).one_or_none()


def _joined(session: orm.Session, router: Router, network: Network) -> list[str]:
    """Return the subnets of a network that a router joins."""
    inside = router_interfaces.subnets_of(session, router)
    return [subnet_id for subnet_id in session.scalars(sa.select(Subnet.id).where(Subnet.network_id == network.id))
            if subnet_id in inside]


def _project_id(caller: Caller, project: str, action: str) -> str:
    """Return the project that a request names; openstacksdk says "None" for the caller's own."""
    project_id = caller.project_id if project == "None" else ids.canonical(project) or project
    caller.check(action, project_id)
    return project_id


def _check_project(session: orm.Session, project_id: str) -> None:
    if session.scalars(sa.select(Project.id).where(Project.id == project_id)).first() is None:
        raise errors.NotFound(f"Project {project_id} could not be found.", resource="project", id=project_id)
