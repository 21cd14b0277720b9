"""Servers that ask for it are restarted elsewhere, once, and not when the control plane is what is cut off."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from conductor import host_failures
from hostler import ids
from hostler.db.models import Host, Operation, Server, ServerGroup, ServerGroupMember
from hostler.db.moments import now
from tests.harness.conductor_rig import Rig


def _server(rig: Rig, vm_state: str = "active", *, metadata: dict[str, str] | None = None,
            specs: dict[str, str] | None = None, of_group: str | None = None, grouped: bool = False) -> str:
    def work(session: orm.Session) -> str:
        server = Server(id=ids.new_id(), name="one", project_id=rig.context.project_id, user_id=rig.context.user_id,
                        vm_state=vm_state, flavor_id=ids.new_id(), flavor={"extra_specs": specs or {}}, vcpus=1,
                        ram_mib=64, root_gib=1, host_id=rig.host_id, extra=metadata or {})
        session.add(server)
        session.flush()
        if grouped or of_group is not None:
            group = ServerGroup(project_id=rig.context.project_id, user_id=rig.context.user_id, policy="anti-affinity",
                                on_host_failure=of_group)
            session.add(group)
            session.flush()
            session.add(ServerGroupMember(group_id=group.id, server_id=server.id))
        return server.id

    return rig.db.write(work)


def _set(rig: Rig, **values: Any) -> None:
    rig.db.write(lambda session: session.execute(sa.update(Host).where(Host.id == rig.host_id).values(**values)))


def _more_hosts(rig: Rig, count: int) -> None:
    zone_id = rig.one(Host, rig.host_id).zone_id
    rig.db.write(lambda session: session.add_all(
        [Host(name=f"other{number}", number=10 + number, zone_id=zone_id, last_seen_at=now())
         for number in range(count)]))


def _evacuated(rig: Rig) -> list[str]:
    host_failures.sweep(rig.db, rig.conf)
    with rig.db.reading() as session:
        return sorted(session.scalars(sa.select(Operation.resource_id).where(Operation.kind == "server.evacuate")))


WANTED = {"hostler:on_host_failure": "restart"}


def test_who_asks_is_evacuated_and_once(rig: Rig) -> None:
    _more_hosts(rig, 2)
    asks = [_server(rig, metadata=WANTED), _server(rig, "stopped", specs=WANTED)]
    _server(rig)
    _server(rig, specs=WANTED, metadata={"hostler:on_host_failure": "none"})
    _server(rig, "error", metadata=WANTED)
    _server(rig, "paused", metadata=WANTED)
    _set(rig, last_seen_at=now(-30))
    assert _evacuated(rig) == [], "not yet"
    _set(rig, last_seen_at=now(-61))
    assert _evacuated(rig) == sorted(asks)
    assert _evacuated(rig) == sorted(asks), "the first ones are not over"


def test_a_server_is_asked_before_its_group_and_that_before_its_flavor(rig: Rig) -> None:
    leave = {"hostler:on_host_failure": "none"}
    asks = [_server(rig, of_group="restart"), _server(rig, of_group="restart", specs=leave),
            _server(rig, of_group="none", specs=leave, metadata=WANTED), _server(rig, grouped=True, specs=WANTED),
            _server(rig, of_group="restart", metadata={"hostler:on_host_failure": "perhaps"})]
    for kwargs in ({"of_group": "none", "specs": WANTED}, {"of_group": "restart", "metadata": leave},
                   {"grouped": True}, {"grouped": True, "specs": leave}):
        _server(rig, **kwargs)  # type: ignore[arg-type]
    _set(rig, forced_down=True)
    assert _evacuated(rig) == sorted(asks)


def test_a_host_that_is_forced_down_is_not_waited_for(rig: Rig) -> None:
    asks = _server(rig, metadata=WANTED)
    _set(rig, last_seen_at=now(), forced_down=True)
    assert _evacuated(rig) == [asks]


@pytest.mark.parametrize(("self_fence_s", "command", "count"), [(0, None, 0), (30, None, 1), (0, "true", 1)])
def test_shared_disks_need_a_way_to_fence_the_host(rig: Rig, self_fence_s: int, command: str | None,
                                                   count: int) -> None:
    _more_hosts(rig, 2)
    _server(rig, metadata=WANTED)
    share = "11111111-1111-4111-8111-111111111111"
    rig.db.write(lambda session: session.execute(sa.update(Host).values(servers_share=share)))
    _set(rig, last_seen_at=now(-61), self_fence_s=self_fence_s)
    rig.conf.set_override("fence_command", command, "compute")
    assert len(_evacuated(rig)) == count


def test_when_all_hosts_are_silent_the_control_plane_is_cut_off(rig: Rig) -> None:
    _server(rig, metadata=WANTED)
    _more_hosts(rig, 1)
    rig.db.write(lambda session: session.execute(sa.update(Host).values(last_seen_at=now(-100))))
    assert _evacuated(rig) == []
