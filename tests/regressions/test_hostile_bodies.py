"""A 1 MB login body cost 25 s of CPU, since every schema error was listed; 1,000 levels of nesting answered 500.

What anybody may send is checked at a bounded cost: depth and number of items first, then up to the first errors.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud

LOGIN = "/identity/v3/auth/tokens"
_MEGABYTE = 1_000_000


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    return opening * levels + closing * levels


HOSTILE = {
    "levels": nested(1000), "objects": nested(1000, '{"a":', "}").replace(":}", ":1}"),
    "many levels": nested(_MEGABYTE // 2),
    "many methods": '{"auth": {"identity": {"methods": [' + ",".join(['"x"'] * (_MEGABYTE // 4)) + "]}}}",
    "fewer methods": '{"auth": {"identity": {"methods": [' + ",".join(['"x"'] * 19_000) + "]}}}",
    "wrong methods": '{"auth": {"identity": {"methods": [' + ",".join(["1"] * 19_000) + "]}}}",
    "many members": '{"auth": {' + ",".join(f'"{n}": 1' for n in range(19_000)) + "}}",
    "long text": '{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "' + "x" * 990_000
                 + '", "password": "p"}}}}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_login_is_refused_at_little_cost(cloud: Cloud, client: Client, name: str) -> None:
    """Given each body, when it is sent without a token, then the answer is 400 or 413, for under 50 ms of CPU."""
    costs = []
    for _ in range(3):
        begun = time.process_time()
        answer = client.request("POST", LOGIN, data=HOSTILE[name], headers={"Content-Type": "application/json",
                                                                            "X-Auth-Token": None})
        costs.append(time.process_time() - begun)
        assert answer.status_code in (400, 413), answer.text
        assert len(answer.text) < 2000
    assert min(costs) < 0.05, costs  # of client and cloud together, in one process


@pytest.mark.parametrize("path, body", [
    ("/compute/v2.1/servers", {"server": {"name": [[[]]]}}), ("/image/v2/images", {"name": {"a": [1]}}),
    ("/network/v2.0/networks", {"network": {"name": [1]}}), ("/volume/v3/volumes", {"volume": {"size": {}}})])
def test_deep_bodies_are_refused_everywhere(client: Client, path: str, body: Any) -> None:
    assert client.request("POST", path, data=nested(1000), headers={"Content-Type": "application/json"}
                          ).status_code == 400
    assert client.post(path, body).status_code == 400
