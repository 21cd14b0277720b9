"""QoS specs of volume types: which of them hypervisors obey, and what they come to for one volume.

`front-end` specs are the hypervisors', `back-end` ones the storage's, `both` are both's. Names that hypervisors do not
know, and all that is for back ends, are kept and shown and do nothing: no driver here has limits of its own.

>>> limits_of("front-end", {"total_iops_sec_per_gb": "10", "total_iops_sec_per_gb_min": "500"}, 20)
{'total_iops_sec': 500}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hostler import errors

BACK_END: Final = "back-end"
CONSUMERS: Final = ("front-end", BACK_END, "both")
_UNITS: Final = ("bytes_sec", "iops_sec")
_WAYS: Final = ("total", "read", "write")
RATES: Final = tuple(f"{way}_{unit}" for unit in _UNITS for way in _WAYS)
_PEAK, _PER_GIB, _AT_LEAST = "_max", "_per_gb", "_per_gb_min"
_SIZE: Final = "size_iops_sec"  # bytes that count as one operation
NUMBERS: Final = frozenset({_SIZE, *(rate + suffix for rate in RATES
                                     for suffix in ("", _PEAK, _PER_GIB, _AT_LEAST))})
_MOST: Final = 10 ** 15  # QEMU's own bound


def check(consumer: str, specs: Mapping[str, Any]) -> None:
    """Raise InvalidField for what hypervisors would refuse when a volume is attached."""
    if consumer == BACK_END:
        return
    for name in sorted(NUMBERS & specs.keys()):
        text = str(specs[name])
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) and int(text) <= _MOST):
            raise _invalid(name, text, f"It must be a whole number up to {_MOST}.")
    rates = _rates(specs, 1)
    for unit in _UNITS:
        ways = [f"{way}_{unit}" for way in ("read", "write")]
        for suffix in ("", _PEAK):
            apart = [way + suffix for way in ways if rates.get(way + suffix)]
            if rates.get(f"total_{unit}{suffix}") and apart:
                raise _invalid(apart[0], str(specs.get(apart[0], "")), f"total_{unit}{suffix} limits both ways.")
    for rate in RATES:
        if rates.get(rate + _PEAK) and not rates.get(rate):
            raise _invalid(rate + _PEAK, str(specs[rate + _PEAK]), f"It needs {rate}.")


def limits_of(consumer: str, specs: Mapping[str, Any], size_gib: int) -> dict[str, int]:
    """Return what a hypervisor obeys for a volume of this size, by libvirt's names."""
    return {name: limit for name, limit in _rates(specs, size_gib).items() if limit} if consumer != BACK_END else {}


def _rates(specs: Mapping[str, Any], size_gib: int) -> dict[str, int]:
    found = {name: int(specs[name]) for name in (*RATES, *(rate + _PEAK for rate in RATES), _SIZE) if name in specs}
    for rate in RATES:
        per_gib = int(specs.get(rate + _PER_GIB, 0))
        if per_gib:
            found[rate] = max(per_gib * size_gib, int(specs.get(rate + _AT_LEAST, 0)))
        if found.get(rate + _PEAK):
            # QEMU takes no peak below the rate, which grows with the volume.
            found[rate + _PEAK] = max(found[rate + _PEAK], found.get(rate, 0))
    return found


def _invalid(name: str, value: str, reason: str) -> errors.InvalidField:
    return errors.InvalidField(field=name, value=value[:80], reason=reason)
