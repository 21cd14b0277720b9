"""What libvirt says reaches users without the host's file names."""

from __future__ import annotations

import pytest

connection = pytest.importorskip("compute.virt.libvirt.connection", reason="libvirt-python is not installed")


@pytest.mark.parametrize(("said", "told"), [
    ("Cannot access storage file '/var/lib/x/disk' (as uid:0)", "Cannot access storage file '…' (as uid:0)"),
    ("internal error: /usr/bin/qemu-system-x86_64: -drive: no", "internal error: …: -drive: no"),
    ("read/write failed", "read/write failed"),
])
def test_paths_are_left_out(said: str, told: str) -> None:
    assert connection.without_paths(said) == told
