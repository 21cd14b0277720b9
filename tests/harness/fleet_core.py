"""The Compute API with a second host, every policy registered, and a recorder for answers."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from falcon import testing

from api import policies, wsgi
from api.openstack.compute import FACE
from api.policy import Policy
from hostler import clock
from hostler.db.models import Host, Service, Zone
from tests.harness.compute_rest import HOST, Cloud, build

SECOND = "88888888-8888-4888-8888-888888888888"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """Two hosts (the second silent for an hour) and a conductor."""
    made = build(tmp_path)
    services = dataclasses.replace(made.services, policy=Policy(made.services.conf, policies.all_defaults()))

    def work(session: Any) -> None:
        zone_id = session.scalar(sa.select(Zone.id))
        session.add_all([
            Host(id=SECOND, name="host-2", number=2, zone_id=zone_id, hypervisor_hostname="host-2.local", vcpus=4,
                 ram_mib=4096, disk_gib=50, reserved_ram_mib=512, cpu_info={"vendor": "Intel"},
                 last_seen_at=clock.utcnow() - dt.timedelta(hours=1)),
            Service(number=1, binary="nova-conductor", host="control-1")])

    services.db.write(work)
    yield dataclasses.replace(made, services=services, client=testing.TestClient(wsgi.build(services, [FACE])))
    services.db.dispose()


@pytest.fixture
def get(cloud: Cloud) -> Callable[..., Any]:
    """A function that GETs as an administrator and returns the body.

    With HOSTLER_RECORD_ANSWERS set to a file, each answer is added to it, for a check against published schemas.
    """

    def fetch(path: str, version: str = "2.96", status: int = 200) -> Any:
        answer = cloud.call("GET", path, token="admin", version=version)
        assert answer.status_code == status, answer.text
        if status == 200 and (target := os.environ.get("HOSTLER_RECORD_ANSWERS")):
            with open(target, "a", encoding="utf-8") as file:
                print(json.dumps({"method": "GET", "path": path.partition("?")[0], "microversion": version,
                                  "body": answer.json}), file=file)
        return answer.json

    return fetch


def set_host(cloud: Cloud, host_id: str = HOST, **values: Any) -> None:
    """Change a host's row."""
    cloud.services.db.write(
        lambda session: session.execute(sa.update(Host).where(Host.id == host_id).values(**values)))
