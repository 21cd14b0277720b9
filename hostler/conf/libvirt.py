"""Options of the libvirt driver."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "libvirt"

OPTS = [
    cfg.StrOpt("virt_type", default="auto", choices=["auto", "kvm", "qemu"],
               help="kvm uses the processor's virtualization, qemu emulates (slow, works anywhere). auto boots a small "
                    "probe guest once per start of the machine and takes kvm only when that guest really runs."),
    cfg.StrOpt("uri", default="qemu:///system", help="libvirt connection URI of this host's hypervisor."),
    cfg.StrOpt("cpu_mode", default="auto",
               help="CPU model shown to guests: host-model, host-passthrough, maximum, none, or the name of a libvirt "
                    "CPU model. auto is host-model under kvm and none (QEMU's default) under qemu."),
    cfg.IntOpt("wait_soft_reboot_seconds", default=120, min=0,
               help="Seconds a guest gets to shut down in a soft reboot before it is rebooted hard, where the "
                    "request names no time."),
    cfg.StrOpt("disk_cache", default="auto",
               choices=["auto", "none", "writeback", "writethrough", "directsync", "unsafe"],
               help="Cache mode of server disks. auto is none where the file system does direct I/O, else writeback."),
    cfg.IntOpt("call_timeout", default=20, min=1,
               help="Seconds a call to libvirt may take before the hypervisor counts as hung and the host is "
                    "reported as unhealthy. Starting a guest and saving its memory may take ten times as long."),
    cfg.IntOpt("pcie_ports", default=16, min=0, max=25,
               help="Volumes that one server can have: each guest is given as many PCI Express slots, taken or free. "
                    "More slots make guests start a little slower."),
    cfg.StrOpt("smbios_manufacturer", default="OpenStack Foundation",
               help="Manufacturer of the system in the guests' SMBIOS (DMI) data."),
    cfg.StrOpt("smbios_product", default="OpenStack Nova",
               help="Product name of the system in the guests' SMBIOS (DMI) data. cloud-init looks for OpenStack's "
                    "data sources only when it is 'OpenStack Nova' or 'OpenStack Compute'."),
    cfg.StrOpt("smbios_family", default="Virtual Machine",
               help="Family of the system in the guests' SMBIOS (DMI) data."),
    cfg.StrOpt("smbios_serial", default="unique", choices=["unique", "none"],
               help="Serial number of the system in the guests' SMBIOS (DMI) data: the server's id, or none."),
    cfg.StrOpt("graphics", default="vnc", choices=["vnc", "spice", "vnc+spice"],
               help="Graphical consoles that guests get when they are next started."),
    cfg.IntOpt("probe_timeout", default=5, min=1, max=60,
               help="Seconds within which the probe guest of virt_type=auto must run through under kvm."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
