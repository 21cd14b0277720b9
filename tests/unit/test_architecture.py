"""Our tree keeps the laws of the layout (`tests.harness.laws`)."""

from __future__ import annotations

import pytest

from tests.harness import laws


@pytest.mark.parametrize("name", laws.LAWS)
def test_our_tree_keeps(name: str) -> None:
    breaches = laws.LAWS[name](laws.Tree.read())
    assert not breaches, "\n".join([laws.LAWS[name].__doc__ or "", *breaches])
