"""Texts have the same limits on every database, counted in characters and not in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.fixtures import database_url
from tests.harness.network_core import make_cloud
from tests.harness.network_rest import ADMIN, Api

__all__ = ["database_url"]

HORSE = "🐴"
LABEL = "a" * 63
# noun, attribute, the longest text, one that is too long
LIMITS = [
    *((noun, name, HORSE * 255, HORSE * 256) for noun in ("network", "subnet", "port", "security_group")
      for name in ("name", "description")),
    ("security_group_rule", "description", HORSE * 255, HORSE * 256),
    ("network", "dns_domain", f"{LABEL}." * 3 + "b" * 63, f"{LABEL}." * 4 + "b"),
    ("network", "dns_domain", f"{LABEL}.", f"{LABEL}a."), ("network", "provider:physical_network", "p" * 64, "p" * 65),
    ("port", "device_id", HORSE * 255, HORSE * 256), ("port", "device_owner", HORSE * 255, HORSE * 256),
    ("port", "dns_name", LABEL, LABEL + "a"),
]


@pytest.fixture(scope="module")
def api(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    rows = make_cloud(database_url, Path(tmp_path_factory.mktemp("state")))
    yield Api(rows)
    rows.db.dispose()


@pytest.mark.parametrize(("noun", "attribute", "longest", "too_long"), LIMITS)
def test_texts_fit_or_are_refused(api: Api, noun: str, attribute: str, longest: str, too_long: str) -> None:
    path = f"/v2.0/{noun.replace('_', '-')}s"
    network = api.make("network", "networks", ADMIN)["id"] if noun in ("subnet", "port") else ""
    group = api.make("security_group", "security-groups", ADMIN)["id"] if noun == "security_group_rule" else ""
    needed: dict[str, Any] = {
        "subnet": {"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4}, "port": {"network_id": network},
        "security_group_rule": {"security_group_id": group, "direction": "ingress"}}.get(noun, {})
    message = api.refused("POST", path, {noun: {**needed, attribute: too_long}}, 400, "InvalidInput", token=ADMIN)
    assert attribute in message
    made = api.call("POST", path, {noun: {**needed, attribute: longest}}, token=ADMIN, status=201)[noun]
    assert made[attribute] == longest
    if noun != "security_group_rule":
        api.refused("PUT", f"{path}/{made['id']}", {noun: {attribute: too_long}}, 400, "InvalidInput", token=ADMIN)
    api.call("DELETE", f"{path}/{made['id']}", token=ADMIN, status=204)
    if group:
        api.call("DELETE", f"/v2.0/security-groups/{group}", token=ADMIN, status=204)
