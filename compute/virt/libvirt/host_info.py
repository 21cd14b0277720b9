"""What libvirt says about the host and the guests' counters, in the agent's words."""

from __future__ import annotations

from typing import Any

import libvirt
from lxml import etree

from compute.virt.driver import HostInfo


def read_host_info(conn: libvirt.virConnect, *, virt_type: str, running: int) -> HostInfo:
    """Describe the host behind `conn`."""
    arch, ram_mib, vcpus, *_ = conn.getInfo()
    cpu = _cpu_info(conn.getCapabilities())
    traits = ["HW_CPU_X86_VMX" if virt_type == "kvm" and "vmx" in cpu["features"] else "",
              "COMPUTE_ACCELERATED" if virt_type == "kvm" else "COMPUTE_EMULATED"]
    return HostInfo(hypervisor_type="QEMU", hypervisor_version=conn.getVersion(),
                     hypervisor_hostname=conn.getHostname(), vcpus=vcpus, ram_mib=ram_mib, running_servers=running,
                     arch=arch, cpu_info=cpu, traits=tuple(trait for trait in traits if trait))


def read_diagnostics(domain: libvirt.virDomain) -> dict[str, Any]:
    """Return the guest's counters (`compute.virt.driver.Driver.get_diagnostics`)."""
    groups = (libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON
              | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_BLOCK)
    ((_, stats),) = domain.connect().domainListGetStats([domain], groups)
    vcpus = stats.get("vcpu.current", 0)
    nics = [{"mac_address": mac, "rx_octets": stats.get(f"net.{index}.rx.bytes", 0),
             "rx_packets": stats.get(f"net.{index}.rx.pkts", 0), "rx_errors": stats.get(f"net.{index}.rx.errs", 0),
             "rx_drop": stats.get(f"net.{index}.rx.drop", 0), "rx_rate": None,
             "tx_octets": stats.get(f"net.{index}.tx.bytes", 0), "tx_packets": stats.get(f"net.{index}.tx.pkts", 0),
             "tx_errors": stats.get(f"net.{index}.tx.errs", 0), "tx_drop": stats.get(f"net.{index}.tx.drop", 0),
             "tx_rate": None} for index, mac in enumerate(_macs(domain))]
    disks = [{"read_bytes": stats.get(f"block.{index}.rd.bytes", 0),
              "read_requests": stats.get(f"block.{index}.rd.reqs", 0),
              "write_bytes": stats.get(f"block.{index}.wr.bytes", 0),
              "write_requests": stats.get(f"block.{index}.wr.reqs", 0), "errors_count": -1}
             for index in range(stats.get("block.count", 0))]
    return {"state": _state_word(stats.get("state.state", 0)), "driver": "libvirt", "hypervisor": "qemu",
            "hypervisor_os": "linux", "config_drive": None, "uptime": None, "num_cpus": vcpus, "num_nics": len(nics),
            "num_disks": len(disks), "disk_details": disks, "nic_details": nics,
            "cpu_details": [{"id": index, "time": stats.get(f"vcpu.{index}.time", 0), "utilisation": None}
                            for index in range(vcpus)],
            "memory_details": {"maximum": stats.get("balloon.maximum", 0) // 1024,
                               "used": stats.get("balloon.rss", 0) // 1024}}


def _state_word(state: int) -> str:
    words = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_BLOCKED: "running",
             libvirt.VIR_DOMAIN_PAUSED: "paused", libvirt.VIR_DOMAIN_SHUTDOWN: "running",
             libvirt.VIR_DOMAIN_SHUTOFF: "shutdown", libvirt.VIR_DOMAIN_CRASHED: "crashed",
             libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended"}
    return words.get(state, "nostate")


def _macs(domain: libvirt.virDomain) -> list[str]:
    tree = etree.fromstring(domain.XMLDesc(0))
    return [str(value) for value in tree.xpath("devices/interface/mac/@address")]


def _cpu_info(capabilities: str) -> dict[str, Any]:
    cpu = etree.fromstring(capabilities.encode()).find("host/cpu")
    if cpu is None:
        return {"arch": "x86_64", "model": "", "vendor": "", "features": [], "topology": {}}
    topology = cpu.find("topology")
    return {"arch": cpu.findtext("arch") or "", "model": cpu.findtext("model") or "",
            "vendor": cpu.findtext("vendor") or "", "features": [item.get("name") for item in cpu.findall("feature")],
            "topology": dict(topology.attrib) if topology is not None else {}}
