"""Which roles come with which."""

from __future__ import annotations

import pytest

from hostler.identity import roles


@pytest.mark.parametrize(("held", "meant"), [
    (["admin"], {"admin", "manager", "member", "reader"}), (["member"], {"member", "reader"}),
    (["reader"], {"reader"}), (["service"], {"service"}), (["auditor", "reader"], {"auditor", "reader"}), ([], set()),
])
def test_implied_roles(held: list[str], meant: set[str]) -> None:
    assert roles.with_implied(held) == meant
