"""What QoS specs come to for one volume."""

from __future__ import annotations

import pytest

from hostler import errors
from hostler.resources.volume import qos

PER_GIB = {"total_iops_sec_per_gb": "10", "total_iops_sec_per_gb_min": "50", "total_iops_sec_max": "100"}


@pytest.mark.parametrize(("size_gib", "rate", "peak"), [(1, 50, 100), (7, 70, 100), (20, 200, 200)])
def test_rates_grow_with_the_volume(size_gib: int, rate: int, peak: int) -> None:
    qos.check("both", PER_GIB)
    assert qos.limits_of("both", PER_GIB, size_gib) == {"total_iops_sec": rate, "total_iops_sec_max": peak}


def test_what_is_not_for_hypervisors() -> None:
    assert qos.limits_of("front-end", {"iops_bytes": "500", "read_bytes_sec": "0", "size_iops_sec": "4096"}, 1) == {
        "size_iops_sec": 4096}
    qos.check("back-end", {"read_bytes_sec": "many"})
    assert qos.limits_of("back-end", {"read_bytes_sec": "many"}, 1) == {}


@pytest.mark.parametrize(("specs", "field"), [
    ({"read_bytes_sec": "many"}, "read_bytes_sec"),
    ({"total_bytes_sec": "1", "write_bytes_sec": "1"}, "write_bytes_sec"),
    ({"read_iops_sec_max": "5"}, "read_iops_sec_max"), ({"size_iops_sec": "-1"}, "size_iops_sec")])
def test_what_qemu_would_refuse(specs: dict[str, str], field: str) -> None:
    with pytest.raises(errors.InvalidField) as raised:
        qos.check("front-end", specs)
    assert raised.value.fields["field"] == field
