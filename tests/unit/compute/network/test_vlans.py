"""VLAN interfaces, as far as they can be had without a kernel that has them."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from compute.network import vlans
from hostler import errors


class Link(dict[str, Any]):
    """An interface."""

    def get_attr(self, _name: str) -> str:
        return "eth1"


class Kernel:
    """Has the links that were added."""

    def __init__(self, refusal: int = 0) -> None:
        self.refusal = refusal
        self.added: list[dict[str, Any]] = []

    def link(self, _verb: str, **values: Any) -> None:
        if self.refusal:
            raise NetlinkError(self.refusal)
        self.added.append(values)

    def link_lookup(self, ifname: str) -> list[int]:
        return [index for index, values in enumerate(self.added) if values["ifname"] == ifname]

    def get_links(self, index: int) -> list[dict[str, Any]]:
        return [self.added[index]]


def test_a_tag_of_the_interface_is_made_once() -> None:
    kernel = Kernel()
    for _ in range(2):
        made = vlans.make_device(kernel, "hvl1", 100, Link(index=5))
    assert kernel.added == [made] == [{"ifname": "hvl1", "kind": "vlan", "link": 5, "vlan_id": 100}]


@pytest.mark.parametrize(("code", "words"), [
    (errno.EOPNOTSUPP, "cannot tag frames (module 8021q)"), (errno.EEXIST, "VLAN 100 of the host's interface eth1")])
def test_refusals_say_what_is_the_matter(code: int, words: str) -> None:
    with pytest.raises(errors.AgentError) as raised:
        vlans.make_device(Kernel(code), "hvl1", 100, Link(index=5))
    assert words in raised.value.details
