"""A failure of a host's network says little to members and all to administrators."""

from __future__ import annotations

from compute.network import faults


def test_members_read_one_sentence() -> None:
    error = faults.fault("the host has no interface eth7")
    assert "eth7" not in str(error)
    assert error.details == "the host has no interface eth7"
