"""A host that refused a guest's processor named one feature that no guest has, and not those that it lacked."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest

from compute.virt.libvirt import migration
from hostler import errors

_CPU = "<cpu mode='custom' match='exact'><model>Skylake-Server</model></cpu>"


class Refused(libvirt.libvirtError):
    """libvirt's error, as it is when a processor does not fit."""

    def __init__(self, text: str) -> None:
        Exception.__init__(self, text)
        self.err = (libvirt.VIR_ERR_CPU_INCOMPATIBLE, libvirt.VIR_FROM_CPU, text)


class Connection:
    """A hypervisor without AVX-512, in libvirt's words (9.0, QEMU 7.2 under emulation)."""

    def compareHypervisorCPU(self, *arguments: Any) -> int:
        """Refuse."""
        if arguments[-1] & libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE:
            raise Refused("the CPU is incompatible with host CPU: Host CPU does not provide required features: "
                          "rtm, avx512f")
        return int(libvirt.VIR_CPU_COMPARE_INCOMPATIBLE)

    def baselineHypervisorCPU(self, *_: Any) -> str:
        """Return what is left of the processor here."""
        return ("<cpu><model>Skylake-Server</model><feature policy='require' name='vme'/>"
                "<feature policy='disable' name='rtm'/><feature policy='disable' name='avx512f'/></cpu>")

    def getDomainCapabilities(self, *_: Any) -> str:
        """Return what guests get here."""
        return "<domainCapabilities><cpu><mode name='host-model'><model>EPYC</model></mode></cpu></domainCapabilities>"


def test_the_refusal_names_what_is_lacking() -> None:
    with pytest.raises(errors.AgentError) as refused:
        migration.check_cpu(Connection(), _CPU, "qemu")  # type: ignore[arg-type]
    assert "does not have the guest's processor: it lacks rtm, avx512f." in str(refused.value)


def test_a_guest_without_a_processor_of_its_own_goes_anywhere() -> None:
    migration.check_cpu(Connection(), "", "qemu")  # type: ignore[arg-type]
