"""Blocks of subnet pools: the lowest free one, whatever was taken and given back before."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostler.resources.network.subnet_pools import first_free, merged


def free(prefixes: list[str], taken: list[str], prefixlen: int) -> str | None:
    found = first_free(merged(prefixes), [ipaddress.ip_network(text) for text in taken], prefixlen)
    return None if found is None else str(found)


@pytest.mark.parametrize(("prefixes", "taken", "length", "expected"), [
    (["10.0.0.0/8"], [], 24, "10.0.0.0/24"), (["10.0.0.0/8"], ["10.0.0.0/24"], 24, "10.0.1.0/24"),
    (["10.0.0.0/8"], ["10.0.0.0/26"], 25, "10.0.0.128/25"), (["10.0.0.0/8"], ["10.0.0.0/26", "10.0.1.0/24"], 24,
                                                             "10.0.2.0/24"),
    (["10.0.0.0/30", "10.2.0.0/16"], [], 24, "10.2.0.0/24"), (["10.0.0.0/24"], ["10.0.0.0/25"], 24, None),
    (["10.0.0.0/24"], ["10.0.0.0/25", "10.0.0.128/25"], 26, None), (["10.0.0.0/24"], [], 23, None),
    (["10.0.0.0/25", "10.0.0.128/25"], [], 24, "10.0.0.0/24"),
    (["2001:db8::/32"], ["2001:db8::/64"], 64, "2001:db8:0:1::/64")])
def test_the_lowest_free_block(prefixes: list[str], taken: list[str], length: int, expected: str | None) -> None:
    assert free(prefixes, taken, length) == expected


@given(st.lists(st.integers(20, 30), min_size=1, max_size=40), st.data())
def test_blocks_never_overlap_and_fill_the_pool(lengths: list[int], data: Any) -> None:
    pieces, taken = merged(["10.0.0.0/22", "10.1.0.0/21"]), []
    for length in lengths:
        block = first_free(pieces, taken, length)
        if block is None:
            every = (candidate for piece in pieces if piece.prefixlen <= length
                     for candidate in piece.subnets(new_prefix=length))
            assert all(any(candidate.overlaps(other) for other in taken) for candidate in every)
            continue
        assert any(block.subnet_of(piece) for piece in pieces) and not any(block.overlaps(other) for other in taken)
        taken.append(block)
        if data.draw(st.booleans()):
            taken.remove(data.draw(st.sampled_from(taken)))
