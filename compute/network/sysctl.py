"""Kernel settings of the calling thread's network namespace, under `/proc/sys/net`."""

from __future__ import annotations

from pathlib import Path

from compute.network import faults

_ROOT = Path("/proc/sys/net")


def write(name: str, value: str) -> None:
    """Set `net.<name>` (parts split by `/`, since interface names may hold dots); only written when it differs.

    Raises `AgentError` when the kernel does not have the setting or refuses it.
    """
    path = _ROOT / name
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as failure:
        raise faults.fault(f"kernel setting net/{name} could not be set: {failure.strerror}") from failure


def disable_ipv6(interface: str) -> None:
    """Keep the kernel from giving `interface` IPv6 addresses; a kernel without IPv6 needs nothing."""
    if ipv6_available():
        write(f"ipv6/conf/{interface}/disable_ipv6", "1")


def enable_silent_ipv6(interface: str) -> None:
    """Let `interface` have neighbours by IPv6, but no address of its own."""
    for setting, value in (("addr_gen_mode", "1"), ("accept_ra", "0"), ("disable_ipv6", "0")):
        write(f"ipv6/conf/{interface}/{setting}", value)


def ipv6_available() -> bool:
    """Return whether the kernel speaks IPv6."""
    return (_ROOT / "ipv6").exists()


def bridge_filtering_available() -> bool:
    """Return whether bridged frames can be handed to connection tracking (module br_netfilter)."""
    return (_ROOT / "bridge").exists()
