"""A guest's processors as sockets, cores and threads, from what image and flavor prefer and allow.

>>> choose(4, {"hw_cpu_max_sockets": "2"}, {"hw:cpu_threads": "2"})
Topology(sockets=2, cores=1, threads=2)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hostler import errors

PARTS = ("sockets", "cores", "threads")


class Topology(NamedTuple):
    """Sockets, cores in each, threads in each core."""

    sockets: int
    cores: int
    threads: int


def choose(vcpus: int, image_properties: Mapping[str, Any], extra_specs: Mapping[str, Any]) -> Topology:
    """Return the topology with the most sockets that has what is preferred and passes no maximum.

    An image's preference replaces the flavor's; of two maxima the smaller counts. Raises InvalidField when nothing
    fits `vcpus`; values must have been checked (`properties.check_properties`).
    """
    wanted = {part: _number(image_properties.get(f"hw_cpu_{part}")) or _number(extra_specs.get(f"hw:cpu_{part}"))
              for part in PARTS}
    most = {part: min(_number(image_properties.get(f"hw_cpu_max_{part}")) or vcpus,
                      _number(extra_specs.get(f"hw:cpu_max_{part}")) or vcpus) for part in PARTS}
    for topology in _possible(vcpus):
        if all((wanted[part] or value) == value <= most[part]
               for part, value in zip(PARTS, topology, strict=True)):
            return topology
    described = ", ".join([*(f"{value} {part}" for part, value in wanted.items() if value),
                           *(f"at most {value} {part}" for part, value in most.items() if value < vcpus)])
    raise errors.InvalidField(field="hw:cpu_sockets, hw:cpu_cores, hw:cpu_threads", value=described,
                              reason=f"The flavor's {vcpus} vCPUs cannot be arranged like that.")


def _possible(vcpus: int) -> list[Topology]:
    return [Topology(sockets, cores, vcpus // sockets // cores)
            for sockets in range(vcpus, 0, -1) if vcpus % sockets == 0
            for cores in range(vcpus // sockets, 0, -1) if vcpus // sockets % cores == 0]


def _number(value: Any) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() else 0
