"""Tags named `.` and `..` were taken; to remove them, a client would have sent the deletion of the resource itself."""

from __future__ import annotations

import pytest

from tests.harness.network_rest import Api


@pytest.mark.parametrize("noun", ["networks", "security-groups"])
@pytest.mark.parametrize("tag", [".", "..", "%2e%2E", "a/..", "../b", ""])
def test_tags_that_a_path_cannot_carry(network_api: Api, noun: str, tag: str) -> None:
    made = network_api.make(noun.removesuffix("s").replace("-", "_"), noun, name="tagged")
    network_api.call("PUT", f"/v2.0/{noun}/{made['id']}/tags", {"tags": ["fine", tag]}, status=400)
    assert network_api.call("GET", f"/v2.0/{noun}/{made['id']}/tags")["tags"] == []
    network_api.call("DELETE", f"/v2.0/{noun}/{made['id']}", status=204)


def test_a_slash_is_no_harm_between_words(network_api: Api) -> None:
    made = network_api.make("network", "networks", name="tagged")
    network_api.call("PUT", f"/v2.0/networks/{made['id']}/tags", {"tags": ["kubernetes.io/cluster"]})
