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
    cfg.StrOpt("live_migration_scheme", default="tls", choices=["tls", "tcp"],
               help="How this host's libvirtd and guests reach another's in a live migration: tls (libvirtd with "
                    "listen_tls, QEMU with migrate_tls_x509_cert_dir, both with certificates of hostler-manage pki) or "
                    "tcp, unencrypted and open to anyone who reaches the port: for a closed network alone."),
    cfg.HostAddressOpt("live_migration_inbound_addr",
                       help="Address at which other hosts send guests to this one. Default: [compute] my_ip."),
    cfg.IntOpt("live_migration_bandwidth", default=0, min=0,
               help="Most that one live migration sends, MiB/s; 0: no limit."),
    cfg.IntOpt("live_migration_downtime", default=500, min=100,
               help="Longest time for which a guest may stand still at the end of its live migration, milliseconds."),
    cfg.BoolOpt("live_migration_permit_post_copy", default=False,
                help="Let a live migration that is forced to complete go on after the guest runs at its target "
                     "(post-copy). A guest is lost when the network fails then."),
    cfg.IntOpt("live_migration_completion_timeout", default=800, min=0,
               help="Seconds that a live migration may take for each GiB of memory and disk that it copies (at least "
                    "two); 0: as long as it takes."),
    cfg.StrOpt("live_migration_timeout_action", default="abort", choices=["abort", "force_complete"],
               help="What is done to a live migration that takes longer than live_migration_completion_timeout."),
    cfg.BoolOpt("live_migration_permit_auto_converge", default=False,
                help="Slow a guest down that writes memory faster than it can be sent."),
    cfg.BoolOpt("verify_block_migration", default=False,
                help="Compare the local disks of a server that is live-migrated to this host with the source's before "
                     "it goes on: it stands still while both hosts read (and write out once more) all that the disks "
                     "hold. One whose disks differ does not run on; the source's disks are kept. Without effect on "
                     "volumes; a migration to this host cannot switch to post-copy."),
    cfg.IntOpt("probe_timeout", default=5, min=1, max=60,
               help="Seconds within which the probe guest of virt_type=auto must run through under kvm."),
]
