"""Puts a real host together: libvirt, image cache, disk files, host network."""

from __future__ import annotations

from oslo_config import cfg

from compute import network
from compute.connections import HostConnections
from compute.diskfile import DiskFiles
from compute.layout import Layout
from compute.network.names import tap_name
from compute.toolbox import Toolbox
from compute.transfer import TlsTransfer
from compute.virt.libvirt.domainxml import Machine, Smbios
from compute.virt.libvirt.driver import LibvirtDriver
from hostler.images.cache import ImageCache

GIB = 1024**3


def build(conf: cfg.ConfigOpts, layout: Layout) -> Toolbox:
    """Return the parts of a libvirt host."""
    cache = ImageCache(layout.images, max_bytes=conf.compute.image_cache_gib * GIB,
                       min_age_s=conf.compute.image_cache_min_age)
    return Toolbox(driver=build_driver(conf, layout), network=network.build(conf), images=cache,
                   disks=DiskFiles(layout), tap_name=tap_name, connections=HostConnections(conf, layout),
                   transfer=TlsTransfer(conf, layout))


def build_driver(conf: cfg.ConfigOpts, layout: Layout) -> LibvirtDriver:
    """Return the driver alone."""
    options = conf.libvirt
    machine = Machine(host=conf.host, virt_type=options.virt_type, cpu_mode=options.cpu_mode,
                      disk_cache=options.disk_cache, pcie_ports=options.pcie_ports,
                      graphics=tuple(options.graphics.split("+")), smbios=Smbios(
                          options.smbios_manufacturer, options.smbios_product, options.smbios_family,
                          options.smbios_serial))
    return LibvirtDriver(machine, uri=options.uri, call_timeout_s=options.call_timeout,
                         probe_timeout_s=options.probe_timeout, directory=layout.root,
                         landing_uri=landing_uri(conf))


def landing_uri(conf: cfg.ConfigOpts) -> str:
    """Return where other hosts' hypervisors reach this one's."""
    address = conf.libvirt.live_migration_inbound_addr or conf.compute.my_ip
    return f"qemu+{conf.libvirt.live_migration_scheme}://{f'[{address}]' if ':' in address else address}/system"
